"""The verbs of the command line: each calls the job that the server calls, and tells its result."""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import sys
import tempfile
from fractions import Fraction
from importlib.metadata import version
from pathlib import Path
from typing import Any

import av.error
import numpy as np

from . import jobs, sample
from .audio.beats import detect_beats, double, flip, halve, load_beats, offset, save_beats, tempo_of
from .errors import UserError
from .evaluation import film, motion
from .evaluation.graph_page import inspect_graph
from .evaluation.linear_feasibility import linear_feasibility
from .evaluation.motion_page import motion_page
from .evaluation.motion_sources import footage_gaps, mocap_gaps
from .evaluation.path_page import path_page
from .files import cache_root, check_output, write_text
from .footage import VideoWriter
from .graph.build import GraphSettings
from .graph.looks import groups, reasons
from .interpolation.cache import LIMIT
from .interpolation.fill import folders_of
from .jobs import Source, WishInFiles
from .library import FootageLibrary
from .motion.baselines import baselines
from .motion.choice import Choice, Table, contenders
from .motion.gap import InBetweener
from .motion.mdm import MotionDiffusion
from .motion.weights import Weights
from .pose.skeletons import MOTION
from .progress import Progress
from .protocol import EngineChoice
from .render import render as render_film
from .search.objective import SearchSettings
from .search.path import Path as FoundPath
from .search.shape import Shape, Stay, frame_named
from .search.tags import RATE
from .training.mocap import read_motions, split
from .words import library_of, sources_of

Words = argparse.Namespace

_MUCH = 0.5
"""s without the right action that are worth a word."""


def analyze(words: Words, progress: Progress) -> dict[str, Any]:
    """``vmg analyze``."""
    if not words.footage and not words.forget:
        raise UserError("No footage is named.", "Give one or several video files.", title="Wrong words")
    library = library_of(words)
    forgotten = [library.forget(name) for name in words.forget]
    analyses = jobs.analyze(sources_of(words), library, progress, together=False) if words.footage else []
    footages = [
        {
            "footage": analysis.footage.id,
            "name": analysis.footage.name,
            "fps": str(analysis.footage.fps),
            "size": list(analysis.footage.size),
            "frames": analysis.footage.frames,
            "shots": analysis.footage.shots.tolist(),
            "frames_without_person": int((~analysis.track.person).sum()),
            "damaged": analysis.footage.damage,
        }
        for analysis in analyses
    ]
    lines = [
        f"{entry['name']}: {entry['frames']} frames at {entry['fps']} fps, {len(entry['shots'])} shot(s), "
        f"no person in {entry['frames_without_person']}"
        for entry in footages
    ]
    lines += [f"forgotten: {path}" for path in forgotten]
    told = {"footages": footages, "forgotten": [str(path) for path in forgotten], "library": str(library.root)}
    return {**told, "summary": "\n".join(lines)}


def beats(words: Words, progress: Progress) -> dict[str, Any]:
    """``vmg beats``."""
    if words.out:
        check_output(words.out, [words.music])
    beats = detect_beats(words.music, progress=progress)
    for wanted, edit in ((words.half, halve), (words.double, double), (words.flip, flip)):
        beats = edit(beats) if wanted else beats
    beats = offset(beats, words.offset) if words.offset else beats
    if words.out:
        save_beats(words.out, beats)
    pulse = [beat for beat in beats if beat.kind in ("beat", "bar")]
    tempo = tempo_of(beats)
    listed = [{"time": beat.time, "kind": beat.kind, "strength": beat.strength} for beat in beats]
    summary = f"{len(pulse)} beats, {tempo:.1f} per minute; {len(beats) - len(pulse)} onsets"
    if words.out is None and not words.json:
        summary += "".join(f"\n{beat.time:9.3f} {beat.kind:5} {beat.strength:.2f}" for beat in beats)
    return {"beats": listed, "tempo": tempo, "summary": summary}


def graph(words: Words, progress: Progress) -> dict[str, Any]:
    """``vmg graph``."""
    library = library_of(words)
    sources = jobs.chosen(sources_of(words), library)
    if words.report:
        check_output(words.report, [source.path for source in sources])
    analyses = jobs.analyze(sources, library, progress.part(0.0, 0.7))
    built, features = jobs.build(analyses, library, _graph_settings(words), progress.part(0.7, 0.9))
    seen = [library.look(one.footage, one.track) for one in analyses] if len(analyses) > 1 else []
    group = groups(seen) or [0]
    apart = {f"{a + 1} and {b + 1}": why for (a, b), why in reasons(seen, group).items()} if seen else {}
    frames, feasible = features.nodes, linear_feasibility(features)
    result = {
        "frames": frames,
        "frames_without_person": int(sum((~analysis.track.person).sum() for analysis in analyses)),
        "edges": built.edges,
        "connectors": int(built.connector.sum()),
        "kept": built.kept,
        "threshold": built.threshold,
        "linear_feasibility": {
            "library": feasible.library,
            "footages": dict(zip(built.footages, feasible.footages, strict=True)),
        },
        "groups": dict(zip(built.footages, group, strict=True)),
        "apart": apart,
        "cpu_seconds": sum(os.times()[:4]),
        "peak_memory_mb": _peak_memory_mb(),
    }
    summary = (
        f"{frames} frames, {built.edges} edges ({result['connectors']} connectors), "
        f"{built.kept:.1%} of the usable frames can be reached and left"
    )
    if feasible.library is not None:
        summary += f"\nstraight lines would do for {feasible.library:.0%} of its gaps of half a second"
    footages = [one.footage for one in analyses]
    if words.report:
        title = "Motion graph of " + ", ".join(one.name for one in footages[:3]) + (" ..." if footages[3:] else "")
        report, page = inspect_graph(built, features, footages, title, progress.part(0.9, 1.0))
        write_text(words.report, page)
        result, summary = {**result, "report": report}, f"{summary}\n{words.report}"
    return {**result, "summary": summary}


def search(words: Words, progress: Progress) -> dict[str, Any]:
    """``vmg search``."""
    wish = _wish(words)
    files = [words.out, *(words.out.with_suffix(f".{number}.json") for number in range(2, words.takes + 1))]
    outs = [*files, *([words.report] if words.report else [])]
    jobs.check_wish(sources_of(words), wish, *outs)
    library = library_of(words)
    sources = jobs.chosen(sources_of(words), library)
    for file in outs:
        check_output(file, [source.path for source in sources])
    analyses = jobs.analyze(sources, library, progress.part(0.0, 0.6))
    graph, features = jobs.build(analyses, library, _graph_settings(words), progress.part(0.6, 0.8))
    asked = jobs.read_wish(wish, graph.fps, progress.part(0.8, 0.84, "Listening"))
    footages = [analysis.footage for analysis in analyses]
    asked = jobs.with_references(asked, footages, library, progress.part(0.84, 0.86, "Poses of keyframes"))
    paths = jobs.search(analyses, graph, features, asked, progress.part(0.86, 1.0))
    files = files[: len(paths)]
    for path, file in zip(paths, files, strict=True):
        path.save(file)
    written = [f"{_told(path)}\n{file}" for path, file in zip(paths, files, strict=True)]
    if len(paths) < words.takes:
        written.append(f"no more than {len(paths)} takes that differ at half of their frames were found")
    if words.report:
        write_text(words.report, path_page(paths[0].as_dict(), words.out.name))
        written.append(str(words.report))
    takes = [
        {"path": str(file), "cost": path.cost, "bound": path.bound} for path, file in zip(paths, files, strict=True)
    ]
    return {**paths[0].as_dict(), "takes": takes, "summary": "\n".join(written)}


def generate(words: Words, progress: Progress) -> dict[str, Any]:
    """``vmg generate``."""
    library = library_of(words)
    path = FoundPath.load(words.path)
    engine = jobs.engine_for(_engine(words), words.poses)
    analyses = jobs.analyses_of(path, library, progress.part(0.0, 0.5))
    filling = progress.part(0.5, 1.0)
    path = jobs.generate(path, analyses, engine, library, filling, words.poses, words.transition)
    path.save(words.path)
    filled = len(path.transitions) if words.transition is None else len(set(words.transition))
    return {**path.as_dict(), "summary": f"{filled} transitions filled by {words.engine}"}


def render(words: Words, progress: Progress) -> dict[str, Any]:
    """``vmg render``."""
    path = FoundPath.load(words.path)
    named = [*(entry.path for entry in path.footages.values()), *([path.audio.path] if path.audio else [])]
    check_output(words.out, [words.path, *map(Path, named)])
    library = library_of(words)
    footages = jobs.footages_of(path, library, progress.part(0.0, 0.1, "Reading"))
    with library.transitions.working(folders_of(path)):
        render_film(path, footages, words.out, progress.part(0.1, 1.0, "Encoding"))
    return {**path.as_dict(), "out": str(words.out), "summary": str(words.out)}


def cut(words: Words, progress: Progress) -> dict[str, Any]:
    """``vmg cut``."""
    path = jobs.cut(
        sources_of(words),
        _wish(words),
        _engine(words),
        words.out,
        library_of(words),
        _graph_settings(words),
        progress,
    )
    file = jobs.path_file(words.out)
    return {**path.as_dict(), "out": str(words.out), "path": str(file), "summary": f"{_told(path)}\n{words.out}"}


def demo(words: Words, progress: Progress) -> dict[str, Any]:
    """``vmg demo``: the main job on the project's own sample."""
    folder = cache_root() / "demo"  # with a library of its own: the person's is for their footage
    out: Path = words.out or folder / "vmg_demo.mp4"
    library = FootageLibrary(words.library or folder / "library")
    # More variety than the beats alone would choose from so little footage: a demo is looked at once.
    wish = WishInFiles(music=sample.MUSIC, beats=sample.BEATS, settings=SearchSettings(reuse_seconds=8.0))
    path = jobs.cut([Source(sample.PERFORMER)], wish, _engine(words), out, library, GraphSettings(), progress)
    return {**path.as_dict(), "out": str(out), "summary": f"{_told(path)}\nThe finished film: {out}"}


def cache_show(words: Words, progress: Progress) -> dict[str, Any]:
    """``vmg cache show``: the generated transitions that a library keeps."""
    progress.update(0.0)
    cache = library_of(words).transitions
    entries = cache.entries()
    engines: dict[str, dict[str, int]] = {}
    for entry in entries:
        sums = engines.setdefault(entry.engine or "unknown", {"entries": 0, "bytes": 0})
        sums["entries"] += 1
        sums["bytes"] += entry.bytes
    kept = {"entries": len(entries), "bytes": sum(entry.bytes for entry in entries), "limit": int(LIMIT)}
    lines = [f"{cache.root}: {kept['entries']} transitions, {kept['bytes'] / 1e9:.2f} GB of {LIMIT / 1e9:.0f} GB"]
    lines += [f"{name:10} {sums['entries']:6} {sums['bytes'] / 1e9:9.2f} GB" for name, sums in sorted(engines.items())]
    return {"folder": str(cache.root), **kept, "engines": engines, "summary": "\n".join(lines)}


def cache_clean(words: Words, progress: Progress) -> dict[str, Any]:
    """``vmg cache clean``: delete the generated transitions that were not used for the longest."""
    cache = library_of(words).transitions
    limit = LIMIT if words.limit is None else words.limit * 1e9
    deleted = cache.clean(0.0 if words.all else limit, progress)
    left = cache.entries()
    freed, kept = (sum(entry.bytes for entry in entries) for entries in (deleted, left))
    told = {"deleted": len(deleted), "freed": freed, "entries": len(left), "bytes": kept}
    summary = f"{len(deleted)} transitions deleted, {freed / 1e9:.2f} GB; {len(left)} left, {kept / 1e9:.2f} GB"
    return {"folder": str(cache.root), **told, "summary": summary}


def doctor(words: Words, progress: Progress) -> dict[str, Any]:
    """``vmg doctor``: what works on this machine."""
    progress.update(0.0)
    library = library_of(words)
    broken = [str(file) for file in library.check()] if library.root.exists() else []
    problems = [f"Damaged: {file}; delete it, it is made again." for file in broken]
    try:
        _try_encoding(_existing(library.root))
    except UserError as error:
        problems.append(str(error))
    checks = {
        "python": platform.python_version(),
        "packages": {name: version(name) for name in ("mediapipe", "numpy", "scipy", "av", "librosa")},
        "cores": os.cpu_count(),
        "free_disk_gb": round(shutil.disk_usage(_existing(library.root)).free / 1e9, 1),
        "library": str(library.root),
        "broken_files": broken,
        "problems": problems,
    }
    lines = [f"{name:12} {value}" for name, value in checks.items() if name not in ("broken_files", "problems")]
    lines += [] if problems else ["The library is sound and can be written, and H.264 can be encoded."]
    return {**checks, "summary": "\n".join(lines)}


def _try_encoding(folder: Path) -> None:
    """Write a film of a few frames there, and delete it.

    Raises
    ------
    UserError
        When the folder cannot be written, or H.264 cannot be encoded.
    """
    try:
        with (
            tempfile.TemporaryDirectory(prefix=".vmg-", dir=folder) as place,
            VideoWriter(Path(place) / "test.mp4", (64, 64), Fraction(24)) as film,
        ):
            for _ in range(4):
                film.write(np.zeros((64, 64, 3), np.uint8))
    except OSError as error:
        raise UserError(
            f"{folder} cannot be written: {error.strerror}.", "Choose another folder with --library, or VMG_CACHE."
        ) from error
    except (av.error.FFmpegError, ValueError) as error:
        raise UserError(f"H.264 cannot be encoded ({error}).", "Install the environment again.") from error


def _existing(folder: Path) -> Path:
    return next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())


def evaluate_beats(words: Words, progress: Progress) -> dict[str, Any]:
    """``vmg evaluate beats``."""
    beats = load_beats(words.beats)
    result = film.evaluate_beats(_film(words, progress), beats)
    return {**result, "summary": _metrics(result)}


def evaluate_transitions(words: Words, progress: Progress) -> dict[str, Any]:
    """``vmg evaluate transitions``."""
    if words.sheet:
        if words.sheet.suffix.lower() != ".png":
            raise UserError(f"A contact sheet cannot be written as {words.sheet.name}.", "End the name in .png.")
        check_output(words.sheet, [words.film])
    measured = _film(words, progress.part(0.0, 0.7))
    result = film.evaluate_transitions(measured, progress.part(0.7, 1.0))
    if words.sheet:
        film.contact_sheet(measured, words.sheet)
    return {**result, "summary": _metrics(result)}


def evaluate_motion(words: Words, progress: Progress) -> dict[str, Any]:
    """``vmg evaluate motion``."""
    if bool(words.footage) == bool(words.motion):
        raise UserError(
            "Name footage, or motion capture with --motion.",
            "One of both: they are measured apart.",
            title="Wrong words",
        )
    if words.page:
        if words.page.suffix.lower() != ".html":
            raise UserError(f"A page cannot be written as {words.page.name}.", "End the name in .html.")
        check_output(words.page, [*words.footage, *(words.motion or ())])
    plain = baselines(MOTION)
    methods = {**plain, **_learned(words.weights)}
    reading = progress.part(0.0, 0.3, "Reading")
    if words.motion:
        takes = split(read_motions(words.motion, reading))[words.part]
        gaps = mocap_gaps(takes, words.lengths)
    else:
        analyses = jobs.analyze(sources_of(words), library_of(words), reading, together=False)
        gaps = footage_gaps([(analysis.footage, analysis.track) for analysis in analyses], words.lengths)
    result = motion.evaluate_motion(gaps, methods, plain.keys(), progress.part(0.3, 0.95))
    if words.page:
        shown = {name: methods[name] for name in ("linear", "hermite", "mdm")}
        page = motion_page(gaps, shown, result, "In-betweens beside real motion")
        write_text(words.page, page)
    return {**result, "summary": motion.told(result)}


def _learned(weights: Path | None) -> dict[str, InBetweener]:
    """The network, and the choice between it and the others where validation made one."""
    loaded = Weights.load(weights) if weights else Weights.load()
    methods = contenders(loaded)
    learned = {MotionDiffusion.name: methods[MotionDiffusion.name]}
    if rules := loaded.about.get("choice"):
        learned["choice"] = Choice(Table.from_json(rules), methods)
    return learned


def _film(words: Words, progress: Progress) -> film.Film:
    library = library_of(words)
    if words.path is None and not jobs.path_file(words.film).exists():
        raise UserError(f"There is no path file beside {words.film.name}.", "Name it with --path PATH.json.")
    path = FoundPath.load(words.path or jobs.path_file(words.film))
    sources = jobs.analyses_of(path, library, progress.part(0.0, 0.3))
    one = jobs.analyze([Source(words.film, path.fps)], library, progress.part(0.3, 1.0), remember=False)[0]
    if one.footage.frames != path.frames:
        raise UserError(
            f"{words.film.name} has {one.footage.frames} frames, its path {path.frames}.",
            "Name the path that it was rendered from with --path PATH.json.",
        )
    return film.Film(one.footage, one.track, path, [(source.footage, source.track) for source in sources])


def _metrics(result: dict[str, Any]) -> str:
    lines = []
    for metric, values in result.items():
        if isinstance(values, dict) and metric not in ("n", "interval_95"):
            lines.append(f"{metric:26}" + "  ".join(f"{name} {value:.3f}" for name, value in values.items()))
    return "\n".join(lines)


def _told(path: FoundPath) -> str:
    alignment = path.beat_alignment
    if path.audio and not path.beats and not path.conditions.keys() - {"variety"}:
        return f"{path.frames} frames, {len(path.transitions)} transitions; the music has no beats that could be found"
    told = f"{path.frames} frames, {len(path.transitions)} transitions, no frame twice within {path.reuse_window:.1f} s"
    if alignment:
        told += (
            f"\nbeat alignment {alignment['score']:.2f} (straight footage at best {alignment['straight_score']:.2f}), "
            f"beats hit {alignment['hit_rate']:.0%} (straight {alignment['straight_hit_rate']:.0%})"
        )
    wrong = sum(path.costs.get(name, 0.0) / RATE for name in ("tags", "text"))
    if wrong > _MUCH:
        told += f"\nabout {wrong:.1f} s show no action that was asked for, or cut one short"
    if faster := int((path.speeds != 1.0).sum()):
        return (
            f"{told}\ncost {path.cost:.2f}, with {faster / float(path.fps):.1f} s played faster or slower; "
            f"no path without that costs less than {path.bound:.2f}"
        )
    better = (
        "the best there is"
        if path.gap < 1e-6
        else f"none can be better by more than {path.cost - path.bound:.1f} beats"
    )
    return f"{told}\ncost {path.cost:.2f}: of all paths that keep the rules, {better}"


def _graph_settings(words: Words) -> GraphSettings:
    actions = bool(getattr(words, "tags", None) or getattr(words, "text", None))
    return jobs.graph_settings(actions=actions, scale=words.threshold_scale, mix=words.mix)


def _engine(words: Words) -> EngineChoice:
    return EngineChoice(words.engine, words.model, words.quality, words.device, words.precision)


def _wish(words: Words) -> WishInFiles:
    settings = SearchSettings(
        hold_seconds=words.hold,
        longest_seconds=words.longest,
        cut_price=words.cut_price,
        reuse_seconds=words.reuse,
        warp=words.warp,
    )
    shape = Shape(
        start=frame_named(words.start) if words.start else None,
        end=frame_named(words.end) if words.end else None,
        stay=tuple(Stay.named(text) for text in words.stay),
        loop=words.loop,
    )
    return WishInFiles(
        music=words.music,
        music_start=words.music_start,
        beats=words.beats,
        keyframes=words.keyframes,
        seconds=words.seconds,
        seed=words.seed,
        settings=settings,
        tags=words.tags,
        labels=words.labels,
        text=words.text,
        synonyms=words.synonyms,
        speech=words.speech,
        shape=shape,
        weights=dict(words.weight),
        takes=getattr(words, "takes", 1),
    )


def _peak_memory_mb() -> float | None:
    """The most memory that this process and its workers held each, MB; None where the system does not tell."""
    if sys.platform == "win32":
        return None
    import resource

    unit = 1e6 if sys.platform == "darwin" else 1e3  # ru_maxrss: bytes there, kilobytes elsewhere
    who = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return max(resource.getrusage(one).ru_maxrss for one in who) / unit
