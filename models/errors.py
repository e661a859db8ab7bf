"""What can be wrong with a model or its weights. Each message is one line with a way out."""


class ModelError(Exception):
    """Base of the errors below."""


class UnknownModel(ModelError):
    """No weights of that name or number are here."""


class WrongWeights(ModelError):
    """The weights here are not those that a file was written with."""


class BadCheckpoint(ModelError):
    """A weights file is missing, damaged, or not one of Lictor's."""


class NoSearch(ModelError):
    """The model codes only the latents that its analysis gives."""


class NoNumbers(ModelError):
    """The networks give something that is not a number, such as weights gone wrong in training."""


class InexactWeights(ModelError):
    """Weights so large that a sum of products could leave the exact range."""
