"""One-shot tuning at tiny size: what learns, what stays, what it costs to stop, and what a tuned model is."""

import json
import threading
from dataclasses import asdict, replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")
pytest.importorskip("accelerate")

from vmg_backend.background.matte import PersonMatte  # noqa: E402
from vmg_backend.errors import Cancelled, UserError  # noqa: E402
from vmg_backend.interpolation.crop import Crop  # noqa: E402
from vmg_backend.interpolation.hminterp.adapters import ADAPTERS, Adaptation, Adapters, Tuned  # noqa: E402
from vmg_backend.interpolation.hminterp.config import TINY, Config, hashes_of  # noqa: E402
from vmg_backend.interpolation.hminterp.model import HMInterp  # noqa: E402
from vmg_backend.interpolation.hminterp.opening import loader, open_engine  # noqa: E402
from vmg_backend.library import FootageLibrary  # noqa: E402
from vmg_backend.models import MODELS_VARIABLE  # noqa: E402
from vmg_backend.pose.skeletons import MEDIAPIPE  # noqa: E402
from vmg_backend.progress import SILENT, Progress  # noqa: E402
from vmg_backend.protocol import EngineChoice  # noqa: E402
from vmg_backend.training.hminterp import one_shot  # noqa: E402
from vmg_backend.training.hminterp.batches import Batches  # noqa: E402
from vmg_backend.training.hminterp.clips import VERSION, Clip, Clips, Filters  # noqa: E402
from vmg_backend.training.hminterp.objectives import OBJECTIVES  # noqa: E402
from vmg_backend.training.hminterp.one_shot import JOINT, PAPER, RECIPES, TWO_STAGES, PersonClips, tune  # noqa: E402
from vmg_backend.training.hminterp.trainer import Means, Trainer  # noqa: E402

BASE = replace(TINY, frames=4, size=32, channels=(32,), decoder="none")
SMALL = replace(TWO_STAGES.scaled(1 / 150), adaptation=Adaptation(4, 32))
CPU = Means(cpu=True)
ROWS, SIDE = 8, 32


@pytest.fixture(autouse=True)
def _same_weights_one_thread(monkeypatch):
    monkeypatch.setattr(Trainer, "costs", [1.0])  # none is tried before
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(threads)


class White(PersonMatte):
    """The person is what is white."""

    seen = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def matte(self, frame, plate=None, limbs=None):
        White.seen += 1
        assert limbs.shape[1:] == (2, 2)
        return (frame[..., 0] == 255).astype(np.float32)


@pytest.fixture
def clips(tmp_path):
    """A white square of 8 px that walks over random scenery, 2 px a frame."""
    folder, random = tmp_path / "clips", np.random.default_rng(0)
    folder.mkdir()
    pictures = np.repeat(random.integers(0, 200, (1, SIDE, SIDE, 3), np.uint8), ROWS, 0)
    for row in range(ROWS):
        pictures[row, 8:16, 2 * row : 2 * row + 8] = 255
    joints = len(MEDIAPIPE.joints)
    arrays = {
        "pictures": pictures,
        "maps": (pictures == 255).astype(np.uint8) * 255,
        "joints": np.full((ROWS, joints, 2), 12.0, np.float32),
        "confidence": np.full((ROWS, joints), 0.9, np.float32),
        "speed": np.ones(ROWS, np.float32),
        "numbers": np.arange(ROWS, dtype=np.int32),
    }
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    clip = Clip("A", 0, ROWS, ROWS, Crop(0, 0, SIDE, SIDE, (SIDE, SIDE)))
    told = {"size": [SIDE, SIDE], "factor": 8, "skeleton": MEDIAPIPE.name, "held_out": [], "sources": []}
    told |= {"version": VERSION, "key": "", "filters": asdict(Filters()), "clips": [asdict(clip)]}
    (folder / "clips.json").write_text(json.dumps(told))
    return folder


@pytest.fixture(scope="module")
def base():
    torch.manual_seed(0)
    model = HMInterp.build(BASE).eval().requires_grad_(False)
    for name, parameter in model.named_parameters():
        if not parameter.any():  # silent at first: there would be nothing to adapt
            torch.nn.init.normal_(parameter, std=0.02 if name.endswith("weight") else 0.0)
    return model


def copied(base):
    again = HMInterp.build(BASE)
    again.load_state_dict(base.state_dict())
    return again.eval().requires_grad_(False)


@pytest.fixture
def model(base):
    return copied(base)


def copies(module):
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def differing(module, before):
    return {name for name, tensor in module.state_dict().items() if not torch.equal(tensor, before[name])}


# What is seen


def test_the_background_is_masked_out(clips, model):
    """By the white square's own pixels: full cells keep all of their latents, half ones half, others nothing."""
    person, whole, device = PersonClips(clips, True, White), Clips(clips), torch.device("cpu")
    ignoring = PersonClips(clips, False, White)
    for each in (person, ignoring, whole):
        each.keep_latents(model.autoencoder, device)
    window = whole.windows(4)[:1]
    masked, plain = person.batch(window, device), whole.batch(window, device)
    share = (plain.pictures[0, :, :1] == 1).float()
    share = torch.nn.functional.avg_pool2d(share, 8)
    assert {0.0, 0.25, 0.5, 0.75, 1.0} >= set(share.unique().tolist()) > {0.0, 1.0}
    assert torch.allclose(masked.latents[0], plain.latents[0] * share, atol=5e-3 * plain.latents.abs().max())
    inside = share.repeat_interleave(8, 2).repeat_interleave(8, 3)
    assert torch.allclose(masked.pictures[0], 0.5 + (plain.pictures[0] - 0.5) * inside, atol=5e-3)
    assert torch.equal(masked.maps, plain.maps)
    assert torch.equal(masked.weights, plain.weights)
    weighed = ignoring.batch(window, device)
    assert torch.equal(weighed.latents, plain.latents)
    assert torch.allclose(weighed.weights[0, 0], plain.weights[0, 0] * share[:, 0] / share.mean(), rtol=0.02, atol=1e-4)


def test_mattes_are_found_once(clips):
    White.seen = 0
    PersonClips(clips, True, White)
    PersonClips(clips, True, White)
    assert White.seen == ROWS


def test_a_cancel_while_mattes_are_found_leaves_nothing_half(clips):
    stop = threading.Event()
    stop.set()
    with pytest.raises(Cancelled):
        PersonClips(clips, True, White, Progress(cancelled=stop))
    assert not (clips / "mattes.npy").exists()
    PersonClips(clips, True, White)


# What learns


def test_recipes_are_the_papers():
    person, frames = TWO_STAGES.lessons
    assert (person.stage.trained, person.background) == (("temporal", "motion"), "ignored")
    assert (frames.stage.trained, frames.background) == (("recurrent", "motion"), "seen")
    assert [(lesson.stage, lesson.background) for lesson in PAPER.lessons] == [
        (person.stage, "hidden"),
        (frames.stage, "seen"),
    ]
    assert [lesson.stage.steps for lesson in TWO_STAGES.lessons] == [300, 300]
    assert [lesson.stage.steps for lesson in JOINT.lessons] == [600]
    assert {lesson.stage.rate for recipe in RECIPES.values() for lesson in recipe.lessons} == {3e-5}
    assert TWO_STAGES.adaptation == JOINT.adaptation == Adaptation(16, 64, True)


@pytest.mark.parametrize("lesson", [*TWO_STAGES.lessons, *JOINT.lessons], ids=lambda lesson: lesson.stage.name)
def test_gradients_reach_what_a_stage_trains_and_nothing_else(clips, model, lesson):
    """As the trainer sets it up; all low-rank matrices are made loud first, so that gradients reach both of a pair."""
    adapters = Adapters(model, SMALL.adaptation)
    for parameter in adapters.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    adapters.attach(model)
    for name, part in model.named_children():
        part.requires_grad_(name in lesson.stage.trained)
    batch, draw = Batches(Clips(clips), lesson.stage, 4, (1, 0), torch.device("cpu")).draw(0)
    OBJECTIVES["interpolator"](model, lesson.stage)(batch, draw).backward()
    for name, group in adapters.named_children():
        grads = [parameter.grad is not None and bool(parameter.grad.any()) for parameter in group.parameters()]
        assert all(grads) if name in lesson.stage.trained else not any(grads), name
    others = {id(parameter) for parameter in adapters.parameters()}
    assert all(p.grad is None for p in model.parameters() if id(p) not in others)


def test_only_a_stages_groups_change_and_the_base_never(clips, model, tmp_path):
    before = copies(model)
    first = tune(model, clips, tmp_path / "run", replace(SMALL, lessons=SMALL.lessons[:1]), means=CPU, matting=White)
    after_first = copies(first)
    ups = {name: tensor for name, tensor in after_first.items() if name.endswith(".up")}
    assert all(tensor.any() == name.startswith("temporal") for name, tensor in ups.items())
    assert first.motion.leave.weight.any()
    first.detach(model)
    both = tune(model, clips, tmp_path / "run", SMALL, means=CPU, matting=White)  # the first is there already
    changed = {name.partition(".")[0] for name in differing(both, after_first)}
    assert changed == {"recurrent", "motion"}
    assert all(tensor.any() for name, tensor in both.state_dict().items() if name.endswith(".up"))
    assert model.config == replace(BASE, motion_attention=32, recurrent=True)
    both.detach(model)
    assert not differing(model, before)
    assert not any(parameter.requires_grad for parameter in model.parameters())


def test_stopped_and_taken_up_again_is_as_if_never_stopped(clips, base, tmp_path):
    expected = copies(tune(copied(base), clips, tmp_path / "whole", SMALL, means=CPU, matting=White))
    stop, told = threading.Event(), []

    def report(fraction, stage):
        told.append(stage)
        if told.count("Training: frames") == 1:
            stop.set()

    with pytest.raises(Cancelled):
        tune(copied(base), clips, tmp_path / "cut", SMALL, means=CPU, matting=White, progress=Progress(report, stop))
    told.clear()
    again = Progress(report)
    resumed = tune(copied(base), clips, tmp_path / "cut", SMALL, means=CPU, matting=White, progress=again)
    assert not differing(resumed, expected)
    assert "Training: person" not in told


@pytest.mark.parametrize("recipe", [TWO_STAGES, JOINT], ids=lambda recipe: recipe.name)
def test_a_few_steps_lower_the_loss(clips, model, tmp_path, recipe):
    """On one and the same draw, before and after; the rate is one for so few steps."""

    def loss(seen):
        stage = replace(recipe.lessons[0].stage, unconditional=0.0)
        seen.keep_latents(model.autoencoder, torch.device("cpu"))
        objective = OBJECTIVES["interpolator"](model, stage)
        batches = Batches(seen, replace(stage, batch=4), 4, (7, 0), torch.device("cpu"))
        with torch.no_grad():
            return float(np.mean([objective(*batches.draw(number)).item() for number in range(2)]))

    quick = replace(recipe.scaled(8 / 600, rate=2e-2), adaptation=Adaptation(4, 32))
    untrained = Adapters(model, quick.adaptation)
    untrained.attach(model)
    before = loss(Clips(clips))
    untrained.detach(model)
    tune(model, clips, tmp_path / "run", quick, means=CPU, matting=White)
    assert loss(Clips(clips)) < 0.97 * before


# What comes of it


def test_a_tuned_model_is_written_and_opened(clips, base, tmp_path, monkeypatch):
    monkeypatch.setenv(MODELS_VARIABLE, str(tmp_path))
    there = tmp_path / "hminterp"
    base.save(there / "her")
    asked = []

    def prepared(analyses, config, folder, progress):
        asked.append((config, folder))
        return Clips(clips)

    monkeypatch.setattr(one_shot, "prepare", prepared)
    monkeypatch.setattr(one_shot, "PersonMatte", White)
    recipe = replace(PAPER.scaled(1 / 300), adaptation=SMALL.adaptation)
    library, run = FootageLibrary(tmp_path / "library"), tmp_path / "run"
    result = one_shot.one_shot([], library, "her", there / "her in red", run, recipe, means=CPU)
    assert asked == [(BASE, run / "clips")]
    assert result["validation"] is None  # nothing is held out here
    said = Tuned.read(there / "her in red" / ADAPTERS)
    assert (said.base, said.hashes, said.adaptation) == ("her", hashes_of(there / "her"), recipe.adaptation)
    assert said.about["recipe"]["lessons"][0]["stage"]["steps"] == 1
    assert json.dumps(result)
    assert open_engine(EngineChoice("hminterp", model="her in red")).version
    opened = loader(there / "her in red")(torch.device("cpu"), torch.float32, SILENT)
    assert opened.config.recurrent
    assert "Tuned on" in Config.load(there / "her in red").source
    with pytest.raises(UserError, match="tuned already"):
        one_shot.one_shot([], library, "her in red", there / "again", run, recipe, means=CPU)
