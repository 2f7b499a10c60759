"""The verbs of ``vmg models``."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import Any

from .downloads import get, public_hub
from .errors import UserError
from .models import CHECKPOINT, OWN, REGISTRY, Installed, find_model, installed, models_root, need, own_models, verify
from .progress import Progress, shares

Words = argparse.Namespace


def models_list(words: Words, progress: Progress) -> dict[str, Any]:
    """``vmg models list``."""
    listed: list[dict[str, Any]] = []
    for model in REGISTRY:
        found = installed(model)
        listed.append(
            {
                "name": model.name,
                "installed": found is not None,
                "bytes": sum(held.size for held in found.files) if found else None,
                "gigabytes": model.gigabytes,
                "licence": asdict(model.licence),
                "hub": model.hub,
                "revision": found.commit if found else model.revision,
                "files": [asdict(file) for file in (found.files if found else model.files)],
                "purpose": model.purpose,
                "needs": list(model.needs),
                "folder": str(model.folder),
            }
        )
    own = [{"name": folder.name, "folder": str(folder)} for folder in own_models()]
    lines = [
        f"{'here' if each['installed'] else '-':5}{each['name']:21}{each['gigabytes']:6.2f} GB  {each['purpose']}\n"
        f"{'':35} {each['licence']['name']}: {each['licence']['url']}"
        for each in listed
    ]
    lines += [f"{'here':5}{each['name']:21}{'':11}own model: {each['folder']}" for each in own]
    return {"models": listed, "own": own, "folder": str(models_root()), "summary": "\n".join(lines)}


def models_get(words: Words, progress: Progress) -> dict[str, Any]:
    """``vmg models get``."""
    model = find_model(words.name)
    found = get(model, words.accept_licence, public_hub(), progress)
    lines = [f"{model.name} is in {model.folder}: {_gigabytes(found)}, licence {found.licence}"]
    if new := [held.path for held in found.files if held.vouched == "first download"]:
        lines.append(
            f"nobody states the SHA-256 of {', '.join(new)}: this download's is recorded, and `vmg models verify` "
            "compares with that"
        )
    lines += [f"it needs {name}, too: vmg models get {name}" for name in model.needs if not installed(find_model(name))]
    return {**asdict(found), "folder": str(model.folder), "summary": "\n".join(lines)}


def models_verify(words: Words, progress: Progress) -> dict[str, Any]:
    """``vmg models verify``."""
    asked = [find_model(name) for name in words.names] or list(REGISTRY)
    here = [(model, found) for model in asked if (found := installed(model))]
    missing = [model.name for model in asked if words.names and installed(model) is None]
    problems = [f"{name} is not here, or not whole: run `vmg models get {name}`." for name in missing]
    spans = shares(sum(held.size for held in found.files) for _, found in here)
    for (model, found), (begin, end) in zip(here, spans, strict=True):
        problems += verify(found, model.folder, progress.part(begin, end))
    files = sum(len(found.files) for _, found in here)
    summary = f"{files} files of {len(here)} models looked at, {len(problems)} problems"
    return {"verified": [model.name for model, _ in here], "files": files, "problems": problems, "summary": summary}


def models_import(words: Words, progress: Progress) -> dict[str, Any]:
    """``vmg models import``."""
    from .interpolation.engines import check_packages

    check_packages()
    from .interpolation.hminterp.importing import Choices, import_checkpoint

    for each in find_model("video-motion-graphs").needs:
        need(each)
    source, name = Path(words.source), Path(words.source).stem
    if not source.is_file():
        model = find_model(words.source)
        if CHECKPOINT not in model.files:
            raise UserError(f"{model.name} needs no import: engines read it as it is.", "Import a checkpoint.")
        source, name = need(model.name) / CHECKPOINT.path, model.name
    out = words.out or models_root() / OWN / name
    choices = Choices(words.heads, words.seed_stride, words.betas, words.sha256, words.precision)
    report = import_checkpoint(source, out, choices, progress)
    return {**report.as_dict(), "out": str(out), "summary": f"{report.told()}\n{out}"}


def _gigabytes(found: Installed) -> str:
    return f"{sum(held.size for held in found.files) / 1e9:.2f} GB"
