"""Kinds of columns, named once and reused by all tables, and the base of these."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    DateTime,
    Identity,
    MetaData,
    Numeric,
    SmallInteger,
    String,
    Text,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, mapped_column

uuid_pk = Annotated[UUID, mapped_column(primary_key=True, server_default=text("gen_random_uuid()"))]
recorded_at = Annotated[datetime, mapped_column(DateTime(timezone=True), server_default=func.now())]
moment = Annotated[datetime, mapped_column(DateTime(timezone=True))]
money = Annotated[Decimal, mapped_column(Numeric(20, 12))]
name_text = Annotated[str, mapped_column(String(collation="C"))]
digest = Annotated[str, mapped_column(String(collation="C"))]
"""A sha256 in hex."""
document = Annotated[dict[str, Any], mapped_column(JSONB)]
actor = Annotated[str, mapped_column(Text)]
small = Annotated[int, mapped_column(SmallInteger)]
big_id = Annotated[int, mapped_column(BigInteger, Identity(always=True), primary_key=True)]


class Base(DeclarativeBase):
    """All tables of Assay; Prefect keeps its own elsewhere."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


def one_of(column: str, *values: str) -> CheckConstraint:
    """A CHECK for an enumeration. NULL is allowed by the column, never inside IN, where it would allow everything."""
    listed = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{column} IN ({listed})", name=column)
