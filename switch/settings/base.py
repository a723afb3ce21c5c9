"""What every section of the settings is made of."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Port = Annotated[int, Field(ge=0, le=65_535)]


class ConfigError(Exception):
    """A configuration that cannot be used: one line with file, key and what to do."""


class Section(BaseModel):
    """A table of the file: unknown keys are refused, nothing is converted, nothing changes later."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
