"""Why verification could not be carried out.

VerificationError (a ProjectionError)
└── TopicsUnreachableError  Kafka, or a topic, is not there to be compared with
"""

from projections.errors import ProjectionError


class VerificationError(ProjectionError):
    """Nothing is proven, for better or worse."""

    code = "verification_failed"


class TopicsUnreachableError(VerificationError):
    """The database alone can be verified without."""

    code = "topics_unreachable"
