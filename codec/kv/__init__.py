"""Caches of keys and values of language models: `lictor.kv` is what people import."""
