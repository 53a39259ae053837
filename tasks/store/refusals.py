"""What the database refuses, as a sentence for whoever asked."""

from psycopg.errors import CheckViolation
from sqlalchemy.exc import IntegrityError

from evaluations.errors import AssayError


def refusal(problem: IntegrityError) -> AssayError | IntegrityError:
    """What the database refused, as a sentence; another error as it is."""
    if not isinstance(problem.orig, CheckViolation):
        return problem
    constraint, said = problem.orig.diag.constraint_name, problem.orig.diag.message_primary
    told = f"{said or 'the database refused it'}."
    if said and said.startswith("who asked for"):
        told += " Another person has to."
    return AssayError(_SENTENCES.get(constraint or "", told))


_SENTENCES = {"ck_deployments_second_person": "production always waits for a second person: one approval at least."}
