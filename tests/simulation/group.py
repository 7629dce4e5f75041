"""The dispatcher's group: which member has which lane, who crashed, and who does not know yet that it was replaced."""

from streams.dispatcher.restore import Restored
from tests.simulation.broker import Fenced
from tests.simulation.lane import Lane, Member
from tests.simulation.world import SECOND, World

CLOCKS_S = (0, 0, 0, 0.3, -0.3, 2, -2, 30, -30, 600, -3_600)
"""How wrong a member's clock may be."""


class Group:
    """Three members; a partition without an owner is given to the next one when it is needed."""

    lane_class = Lane

    def __init__(self, world: World) -> None:
        self.world = world
        self.members = [Member(f"member-{number}") for number in range(3)]
        self.lanes: dict[int, Lane] = {}
        self.zombies: list[Lane] = []
        self._turn = 0

    def lane(self, partition: int) -> Lane:
        """The lane of a partition, started if nobody has it."""
        if (lane := self.lanes.get(partition)) is None:
            self._turn += 1
            lane = self._start(partition, self.members[self._turn % len(self.members)])
        return lane

    def fold(self, partition: int, choice: int) -> bool:
        lane = self.lane(partition)
        if lane.prepared is not None:
            return False
        return lane.fold(choice % 5, choice // 8 % 7)

    def commit(self, partition: int) -> bool:
        """Commit what the owner has folded; fenced, it drops everything."""
        lane = self.lane(partition)
        try:
            return lane.commit()
        except Fenced:
            self.fenced(lane)
            return True

    def fenced(self, lane: Lane) -> None:
        self.world.count["commit fenced"] += 1
        self.world.say(lambda: f"{lane.who:9} is fenced from partition {lane.partition} and drops its state")
        self._drop(lane)

    def advise(self, partition: int, deployment: str, *, down: bool) -> None:
        """What the fleet's calls tell of a deployment reaches the owner, unless it is about to commit."""
        lane = self.lane(partition)
        if lane.prepared is not None:
            return
        self.world.count[f"advised that a deployment is {'down' if down else 'back'}"] += 1
        lane.advise(deployment, down=down)
        self.world.say(lambda: f"{lane.who:9} is advised that {deployment} is {'down' if down else 'back'}")

    def tell_cancelled(self) -> None:
        """Every lane hears of all cancellations, unless it is about to commit."""
        for lane in (*self.lanes.values(), *self.zombies):
            if lane.prepared is None:
                lane.hear_cancelled()

    # --- faults ----------------------------------------------------------------------------------------------------------

    def crash(self, partition: int, choice: int) -> None:
        """The owner dies: before its commit, or right after it."""
        lane = self.lane(partition)
        if choice % 3 == 0 and not lane.folded.empty:
            self.world.count["K4: dispatcher crashes, committed"] += 1
            self.commit(partition)
        elif not lane.folded.empty or lane.prepared is not None:
            self.world.count["K2: dispatcher crashes, folded, not committed"] += 1
        self.world.say(lambda: f"{lane.who:9} crashes, partition {partition}")
        self._drop(lane)

    def unsure(self, partition: int, choice: int) -> None:
        """The commit is sent and its reply lost: it stands or it does not. The lane cannot know, and drops its state."""
        lane = self.lane(partition)
        if lane.prepared is None and lane.folded.empty:
            return
        try:
            if lane.prepared is None:
                lane.prepare()
            if choice % 2:
                self.world.broker.commit(lane.prepared)
            else:
                self.world.broker.end_transaction(partition)
        except Fenced:
            self.fenced(lane)
            return
        stands = "stands" if choice % 2 else "does not stand"
        self.world.count[f"K3: reply to a commit lost, it {stands}"] += 1
        self.world.say(lambda: f"{lane.who:9} commits partition {partition} and never reads the reply: it {stands}")
        self.after_unsure(lane)

    def after_unsure(self, lane: Lane) -> None:
        self._drop(lane)

    def stall(self, partition: int) -> None:
        """The owner writes its transaction's records and does not come to commit them."""
        lane = self.lane(partition)
        if lane.prepared is not None or lane.folded.empty:
            return
        try:
            lane.prepare()
        except Fenced:
            self.fenced(lane)
            return
        self.world.count["transaction left open"] += 1
        self.world.say(lambda: f"{lane.who:9} stalls before it commits partition {partition}")

    def steal(self, partition: int, choice: int) -> None:
        """Another member is given the partition, and the owner is not told: it goes on as a zombie."""
        old = self.lane(partition)
        others = [member for member in self.members if member is not old.member]
        self.zombies.append(old)
        self.world.count["partition taken from a member that lives on"] += 1
        self.world.say(lambda: f"group     takes partition {partition} from {old.who}, who does not know")
        self._start(partition, others[choice % len(others)])

    def zombie(self, choice: int) -> None:
        """A member that was replaced goes on folding, and then tries to commit."""
        if not self.zombies:
            return
        lane = self.zombies[choice % len(self.zombies)]
        if lane.prepared is None:
            self.world.count["zombie goes on folding"] += lane.fold(choice // 4 % 4, choice // 16 % 6)
        if choice % 3 == 0 or lane.prepared is not None:
            try:
                lane.commit()
            except Fenced:
                self.fenced(lane)

    def move(self, partition: int, choice: int) -> None:
        """A rebalance as it should be: the owner ends its lane, keeps the state, and it or another begins anew."""
        old = self.lane(partition)
        kept = self.stopped(old)
        stays = choice % 2 == 0
        others = [member for member in self.members if member is not old.member]
        member = old.member if stays else others[choice // 2 % len(others)]
        self.world.count["rebalance, the partition stays" if stays else "rebalance, the partition moves"] += 1
        self.lanes.pop(partition, None)
        self.world.say(lambda: f"group     rebalances partition {partition} from {old.who} to {member.name}")
        self._start(partition, member, kept if stays else None)

    def stopped(self, lane: Lane) -> Restored | None:
        return lane.stop()

    def set_clock(self, choice: int) -> None:
        member = self.members[choice % len(self.members)]
        offset_s = CLOCKS_S[choice // 4 % len(CLOCKS_S)]
        before, member.offset = member.offset, int(offset_s * SECOND)
        if member.offset != before:
            self.world.count["clock jumps back" if member.offset < before else "clock jumps ahead"] += 1
        self.world.say(lambda: f"{member.name:9} has its clock set {offset_s:+} s from true")

    def heal(self) -> None:
        """The faults end: clocks are right, every zombie has its last try."""
        for member in self.members:
            member.offset = 0
        for lane in list(self.zombies):
            if lane.prepared is None:
                lane.fold(2, 8)
            try:
                lane.commit()
            except Fenced:
                self.world.count["commit fenced"] += 1
            self._drop(lane)

    def _start(self, partition: int, member: Member, kept: Restored | None = None) -> Lane:
        lane = self.lanes[partition] = self.lane_class(self.world, partition, member, kept)
        return lane

    def _drop(self, lane: Lane) -> None:
        if lane in self.zombies:
            self.zombies.remove(lane)
        if self.lanes.get(lane.partition) is lane:
            del self.lanes[lane.partition]
