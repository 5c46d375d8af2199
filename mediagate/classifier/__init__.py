"""A model of the operator's own looks at the moderation copy: JPEG bytes in, scores by category out.

Belongs here: the label map, loading an ONNX file safely, pixels as the model wants them, scores and their verdict.
Does not belong here: what follows from scores (`mediagate.moderation`), pictures as they were uploaded
(`mediagate.imaging`). numpy and ONNX Runtime are an optional extra: they are imported where a model is loaded.
"""

from mediagate.classifier.classifying import Classification, LocalClassifier, check, classify, event
from mediagate.classifier.config import ClassifierConfig, LabelMap

__all__ = ["Classification", "ClassifierConfig", "LabelMap", "LocalClassifier", "check", "classify", "event"]
