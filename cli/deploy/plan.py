"""A plan: the steps of a release, each made of commands of the platform, and the way back."""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from mediagate.errors import InvalidRequest

Command = Annotated[tuple[str, ...], Field(min_length=1)]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,30}$")]

RELEASE = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")
"""What a release may be called: an image's tag."""
_PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")
_GIVEN = frozenset({"release", "previous"})


class Step(BaseModel):
    """One step: its commands one after the other, each an argument list without a shell. Their working folder is that
    of the plan, and `RELEASE` in their environment is what is to run after them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Name
    run: tuple[Command, ...] = Field(min_length=1)
    undo: tuple[Command, ...] = Field((), description="brings back what was there before")
    changes: bool = Field(False, description="the running deployment is another one after it; implied by `undo`")
    needs: Name | None = Field(None, description="a variable, or `previous`: the step is left out where that is empty")
    timeout: float = Field(600, gt=0, description="seconds for each command")
    within: float = Field(0, ge=0, description="seconds in which a command that fails is tried again")
    pause: float = Field(2, ge=0, description="seconds between two such tries")
    after_undo: bool = Field(False, description="asked again after a rollback, of what runs then")

    @property
    def is_change(self) -> bool:
        """False while nothing has to be brought back if it fails."""
        return self.changes or bool(self.undo)


class Plan(BaseModel):
    """A file of this form."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    about: str
    current: Command = Field(description="prints the release that runs; nothing where there is none")
    variables: dict[Name, str] = Field({}, description="placeholders of the commands and their defaults")
    steps: tuple[Step, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = [step.name for step in self.steps]
        if twice := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"there are several steps {', '.join(sorted(twice))}")
        known = _GIVEN | self.variables.keys()
        commands = [self.current, *(command for step in self.steps for command in (*step.run, *step.undo))]
        used = {name for command in commands for part in command for name in _PLACEHOLDER.findall(part)}
        used |= {step.needs for step in self.steps if step.needs}
        if unknown := used - known:
            raise ValueError(f"no variable has the name {', '.join(sorted(unknown))}")
        if both := _GIVEN & self.variables.keys():
            raise ValueError(f"{', '.join(sorted(both))} cannot be a variable")
        return self


def load(path: Path) -> Plan:
    """The plan of a file.

    Raises:
        InvalidRequest: it cannot be read, or is no plan; the message says why.
    """
    try:
        return Plan.model_validate(tomllib.loads(path.read_text()))
    except OSError as error:
        raise InvalidRequest(f"The plan cannot be read: {error.strerror}: {error.filename}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidRequest(f"{path} is no TOML: {error}") from error
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, one['loc'])) or 'plan'}: {one['msg']}" for one in error.errors())
        raise InvalidRequest(f"{path} is no plan: {wrong}") from error


def filled(command: Command, values: Mapping[str, str]) -> tuple[str, ...]:
    """A command with its placeholders filled in; other braces stay."""
    return tuple(_PLACEHOLDER.sub(lambda found: values.get(found[1], found[0]), part) for part in command)
