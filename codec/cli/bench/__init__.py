"""`lictor bench`, a module a command."""
