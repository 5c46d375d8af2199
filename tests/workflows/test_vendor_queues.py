"""A vendor with a rate limit has a task queue of its own, which every worker of the role serves at that rate."""

from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest

from tests.vendors import AtOnceTwin, settings_of
from tests.workflows.runs import E
from tests.world import VENDOR, GateWith, World, picture
from worker import build_workers
from workflows.names import Role, task_queue, vendor_queue


async def asked_on(world: World, media_id: str) -> list[str]:
    """The task queues of the submissions of a run."""
    history = await world.run(media_id).fetch_history()
    scheduled = [
        event.activity_task_scheduled_event_attributes
        for event in history.events
        if event.event_type is E.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED
    ]
    return [one.task_queue.name for one in scheduled if one.activity_type.name == "submit_for_moderation"]


async def rate(world: World, queue: str) -> float:
    """Activities per second at which the server hands out tasks of a queue; 0: as fast as it can."""
    request = DescribeTaskQueueRequest(
        namespace=world.client.namespace,
        task_queue=TaskQueue(name=queue),
        task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY,
        report_config=True,
    )
    answer = await world.client.workflow_service.describe_task_queue(request)
    return answer.effective_rate_limit.requests_per_second


class TestQueues:
    async def test_who_has_one(self, gate_with: GateWith) -> None:
        limited, free = AtOnceTwin(), AtOnceTwin()
        vendors = {**settings_of(limited, calls_per_second=2)["vendors"], **settings_of(free)["vendors"]}
        async with gate_with(roles=(), vendors=vendors) as world:
            prefix = world.flows.prefix
            queues = [worker.task_queue for worker in build_workers(world.client, world.deps, [*Role], prefix=prefix)]
            assert queues == [
                *(task_queue(prefix, role) for role in Role),
                vendor_queue(prefix, limited.name),
            ]

    async def test_its_submissions_go_there_at_its_rate(self, gate_with: GateWith) -> None:
        vendor = AtOnceTwin()
        async with gate_with(roles=(), **settings_of(vendor, calls_per_second=50)) as world:
            await world.configure(policy={"ask": [vendor.name]})
            async with world.workers(vendors={VENDOR: world.vendor, vendor.name: vendor}):
                media_id = await world.upload(picture())
                assert (await world.ended(media_id))["status"] == "approved"
                queue = vendor_queue(world.flows.prefix, vendor.name)
                assert await asked_on(world, media_id) == [queue]
                assert await rate(world, queue) == 50

    async def test_the_others_share_one(self, gate_with: GateWith) -> None:
        vendor = AtOnceTwin()
        async with gate_with(roles=(), **settings_of(vendor)) as world:
            await world.configure(policy={"ask": [vendor.name]})
            async with world.workers(vendors={VENDOR: world.vendor, vendor.name: vendor}):
                media_id = await world.upload(picture())
                await world.ended(media_id)
                assert await asked_on(world, media_id) == [task_queue(world.flows.prefix, Role.VENDOR)]


class TestRunsOverKeptResults:
    async def test_the_same_picture_again_is_decided_without_a_call(self, gate_with: GateWith) -> None:
        vendor = AtOnceTwin()
        vendor.says = {"verdict": "reject"}
        async with gate_with(roles=(), **settings_of(vendor)) as world:
            await world.configure(policy={"ask": [vendor.name]})
            async with world.workers(vendors={VENDOR: world.vendor, vendor.name: vendor}):
                for _ in range(2):
                    assert (await world.ended(await world.upload(picture())))["status"] == "rejected"
            assert vendor.calls == 1
