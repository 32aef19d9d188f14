from tiny_model_fixture import tiny_model

__all__ = ["tiny_model"]
