"""The wires that the simulator has, beside the generic one."""

from collections.abc import Callable, Mapping

from fastapi import APIRouter

from devstack.wires import google_vision, hive, openai, rekognition, sightengine
from devstack.wires.wire import Wire
from mediagate.settings import VendorKind

ROUTERS: Mapping[VendorKind, Callable[[Wire], APIRouter]] = {
    VendorKind.SIGHTENGINE: sightengine.router,
    VendorKind.HIVE: hive.router,
    VendorKind.OPENAI: openai.router,
    VendorKind.GOOGLE_VISION: google_vision.router,
    VendorKind.REKOGNITION: rekognition.router,
}
"""What speaks a format; it is served under `/{wire}`."""
