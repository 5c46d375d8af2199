"""The simulator's wire formats: each speaks one real vendor's documented paths under `/{wire}` of `devstack.vendor`.

Belongs here: what the vendor's side of a format says, checks and sends back, and how it misbehaves when it is told to.
Does not: the gate's side of the formats (`mediagate.vendors`).

How to add a wire:

1. A module `devstack/wires/<wire>.py` with `def router(wire: Wire) -> APIRouter`, made as
   `APIRouter(dependencies=[Depends(wire.admit)])`: `admit` counts the call and is where slow, down, failing and
   rate-limited come from. Routes are the vendor's own paths, without the `/<wire>` in front. With
   `route_class=refusing(…)` (`devstack/wires/refusals.py`) every refusal, a fault's too, is in the vendor's own format.
2. Check credentials as the vendor does, against `wire.key` and `wire.secret`; empty ones let everybody in.
3. Bytes come with the call, or from `await wire.fetch(url)` (loopback only; None if they cannot be had).
   `looks.look(picture, caption)` says what is seen in them: scores 0..1 by category, None for no picture. Say that in
   the vendor's vocabulary. The same picture always looks the same.
4. Answer a result with `wire.answer(body)`, which spoils it when it is told to. `is_score` tells what a score is, where
   scores are no floats; `other` is the same answer for another item, where answers name their item. A receipt without
   a result is `wire.said(body)`.
5. Send results with `await wire.call_back(Callback(url, body, sign), forged=[…])`, if the vendor does: it repeats,
   spoils, loses, hastens and forges them as it is told to.
6. One line in `ROUTERS` (`devstack/wires/catalogue.py`).
"""
