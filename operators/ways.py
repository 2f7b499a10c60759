"""Other cuts: looked for from the playhead, and one of them made the take's."""

from __future__ import annotations

import bpy

from ..addon import compat, jobs, overview, ways
from .common import InSequencer, NeedsTake, StartsJob, choose


class VMG_OT_ways_out(NeedsTake, StartsJob):
    """Show where the take could cut to from the frame under the playhead: moments that look alike enough"""

    bl_idname = "vmg.ways_out"
    bl_label = "Show Other Cuts"

    @classmethod
    def refusal(cls, context: bpy.types.Context, scene: bpy.types.Scene) -> str:
        """The playhead must be on the take."""
        if (take := overview.active_take(scene)) is None:
            return super().refusal(context, scene)
        inside = compat.start(take) <= scene.frame_current < compat.end(take)
        return "" if inside else "Move the playhead onto the take"

    def begin(self, scene: bpy.types.Scene) -> None:
        """Start the job."""
        jobs.ways_out(scene)


class VMG_OT_way_take(InSequencer):
    """Let the take cut to this: a keyframe is written behind the cut, and Re-render Stale brings the take to it"""

    bl_idname = "vmg.way_take"
    bl_label = "Use This Cut"

    number: bpy.props.IntProperty(name="Way", description="Its number, from 0", min=0)  # type: ignore[valid-type]

    @classmethod
    def refusal(cls, context: bpy.types.Context, scene: bpy.types.Scene) -> str:
        """There must be some."""
        del context
        return "" if ways.ways().of(scene) else "Press Show Other Cuts first"

    def act(self, context: bpy.types.Context, scene: bpy.types.Scene) -> str:
        """Write the keyframe, and select it alone."""
        del context
        added = ways.take(scene, self.number)
        choose(scene, added)
        return "A keyframe was added: Re-render Stale cuts to it"


register, unregister = bpy.utils.register_classes_factory((VMG_OT_ways_out, VMG_OT_way_take))
