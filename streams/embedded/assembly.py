"""From a plan to the parts of a stack, with every address known before the first of them starts."""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from streams.embedded.children import Part
from streams.embedded.jars import Progress
from streams.embedded.kafka import EmbeddedKafka, KafkaPlan
from streams.embedded.parts import Program
from streams.embedded.plan import StackPlan, environment_of
from streams.embedded.ports import LOOPBACK
from streams.embedded.project import Project
from streams.embedded.spawner import Spawner
from streams.embedded.valkey import EmbeddedValkey, ValkeyPlan
from streams.settings import Settings

EDGE = "edge"
# -P: a folder named `streams` or `schemas` in the user's working directory is not ours.
_PYTHON = (sys.executable, "-P", "-m")


@dataclass(frozen=True, slots=True)
class Assembly:
    """`settings` are the plan's with the addresses of what is embedded; `workers` are grouped by role."""

    settings: Settings
    services: tuple[Part, ...]
    workers: Mapping[str, tuple[Part, ...]]
    catalogue_url: str | None
    simulator_log: Path | None


@dataclass(frozen=True, slots=True)
class Assembler:
    """Makes the parts that `plan` asks for, to run in `project` as children of `spawner`."""

    plan: StackPlan
    project: Project
    spawner: Spawner
    on_progress: Callable[[Progress], None]

    def assemble(self) -> Assembly:
        """Every part of the stack, none started. Raises SettingsError when a port is taken."""
        given = self.plan.settings
        services: list[Part] = []
        found: dict[str, str | int | Path] = {"data_dir": self.project.data_dir}
        if given.bootstrap_servers is None:
            kafka = self._kafka()
            services.append(kafka)
            found["bootstrap_servers"] = kafka.bootstrap_servers
        if given.redis_url is None:
            valkey = self._valkey()
            services.append(valkey)
            found["redis_url"] = valkey.url
        catalogue = self._catalogue() if given.schema_registry_url is None else None
        call_log = self.project.data_dir / "simulator" / "calls.jsonl" if self.plan.simulator else None
        simulator = self._simulator(call_log) if call_log else None
        if simulator is not None:
            found["simulator_url"] = str(simulator.address)
        if EDGE in self.plan.roles:
            found["edge_port"] = self.project.port(EDGE, self.plan.ports.edge, flag="--edge-port")
        services += [part for part in (catalogue, simulator) if part is not None]
        settings = given.model_copy(update=found)
        return Assembly(
            settings=settings,
            services=tuple(services),
            workers={role: self._workers(role, count, settings) for role, count in self.plan.roles.items()},
            catalogue_url=catalogue.address if catalogue else None,
            simulator_log=call_log,
        )

    def _kafka(self) -> EmbeddedKafka:
        plan = KafkaPlan(
            data_dir=self.project.data_dir / "kafka",
            port=self.project.port("kafka", self.plan.ports.kafka, flag="--kafka-port"),
            log=self.project.log("kafka"),
            heap_mb=self.plan.broker_heap_mb,
            overrides=self.plan.broker_overrides,
        )
        return EmbeddedKafka(plan, self.spawner, on_progress=self.on_progress)

    def _valkey(self) -> EmbeddedValkey:
        plan = ValkeyPlan(
            data_dir=self.project.data_dir / "valkey",
            port=self.project.port("valkey", self.plan.ports.valkey, flag="--valkey-port"),
            log=self.project.log("valkey"),
        )
        return EmbeddedValkey(plan, self.spawner)

    def _catalogue(self) -> Program:
        port = self.project.port("catalogue", self.plan.ports.catalogue, flag="--catalogue-port")
        argv = ("streams.edge.catalogue", "--port", str(port), "--providers", ",".join(self.plan.providers))
        return self._program("catalogue", *argv, http_port=port)

    def _simulator(self, call_log: Path) -> Program:
        call_log.parent.mkdir(exist_ok=True)
        port = self.project.port("simulator", self.plan.ports.simulator, flag="--simulator-port")
        argv = ["streams.simulator", "--host", LOOPBACK, "--port", str(port), "--call-log", str(call_log)]
        if self.plan.simulator_profile is not None:
            argv += ["--profile", str(self.plan.simulator_profile)]
        return self._program("simulator", *argv, http_port=port)

    def _workers(self, role: str, count: int, settings: Settings) -> tuple[Program, ...]:
        return tuple(self._worker(role, f"{role}-{number}", settings) for number in range(count))

    def _worker(self, role: str, name: str, settings: Settings) -> Program:
        """One process of a role. It serves its metrics on whatever port is free: no other program's can keep it from starting."""
        own = settings.model_copy(update={"metrics_port": 0})
        program = self._program(name, "streams.cli.main", "worker", "--role", role, settings=own)
        if role == EDGE:
            return replace(program, address=f"http://{own.edge_address}:{own.edge_port}")
        return replace(program, metrics_host=own.metrics_address)

    def _program(self, name: str, *argv: str, settings: Settings | None = None, http_port: int | None = None) -> Program:
        return Program(
            name=name,
            argv=(*_PYTHON, *argv),
            environment={**self.plan.environment, **self._python_path(), **environment_of(settings or self.plan.settings)},
            log=self.project.log(name),
            run_dir=self.project.run_dir,
            spawner=self.spawner,
            address=f"http://{LOOPBACK}:{http_port}" if http_port else None,
            probe_port=http_port,
        )

    def _python_path(self) -> dict[str, str]:
        """What a child needs to find us in a checkout that is not installed; nothing when we are."""
        home = Path(__file__).resolve().parents[2]
        if home.name in {"site-packages", "dist-packages"}:
            return {}
        inherited = self.plan.environment.get("PYTHONPATH")
        return {"PYTHONPATH": f"{home}:{inherited}" if inherited else str(home)}
