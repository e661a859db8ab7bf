"""A benchmark as a page, as plots and tables; and the local page to try the codec on."""
