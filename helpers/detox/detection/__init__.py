"""One model that writes and that detects: does the constraint on the first harm the second?

- `task`: posts with few and partly wrong labels; the verdict as the next word; its score.
- `measuring`: the arms, trained and measured on both tasks.
"""

from helpers.detox.detection.measuring import ARMS, Arm, DetectionPlan, measure, trained
from helpers.detox.detection.task import (
    LabelledPosts,
    detection_auc,
    detection_loss,
    labelled_posts,
)

__all__ = [
    "ARMS",
    "Arm",
    "DetectionPlan",
    "LabelledPosts",
    "detection_auc",
    "detection_loss",
    "labelled_posts",
    "measure",
    "trained",
]
