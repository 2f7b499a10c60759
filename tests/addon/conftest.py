"""The add-on in Blender's own Python module, in an environment that has nothing of the backend's.

`python3 bootstrap.py test` makes that environment, builds the zip and names it in VMG_EXTENSION.
"""

import os
import sys
from pathlib import Path

import pytest

MODULE = "bl_ext.user_default.video_motion_graphs"


def pytest_configure(config):
    if "VMG_EXTENSION" not in os.environ:
        raise pytest.UsageError("VMG_EXTENSION must name the extension's zip; run `python3 bootstrap.py test`.")


def pytest_sessionfinish(session, exitstatus):
    session.config.stash[_STATUS] = int(exitstatus)


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config):
    """Leave without Blender's own clean-up, in which 4.5 can hang for ever."""
    if "bpy" in sys.modules and _STATUS in config.stash:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(config.stash[_STATUS])


_STATUS = pytest.StashKey[int]()


@pytest.fixture(scope="session")
def extension_zip():
    return Path(os.environ["VMG_EXTENSION"])


@pytest.fixture(scope="session")
def bpy(tmp_path_factory):
    """Blender with the settings of somebody who has just installed it."""
    user = tmp_path_factory.mktemp("user")
    os.environ["BLENDER_USER_RESOURCES"] = str(user)
    os.environ["BLENDER_USER_EXTENSIONS"] = str(user / "extensions")
    import bpy

    return bpy


@pytest.fixture(scope="session")
def installed(bpy, extension_zip):
    """The zip, installed as a person does it from disk, not enabled yet; gives its module name."""
    result = bpy.ops.extensions.package_install_files(
        repo="user_default", filepath=str(extension_zip), enable_on_install=False
    )
    assert result == {"FINISHED"}
    return MODULE


@pytest.fixture
def enabled(installed):
    import addon_utils

    module = addon_utils.enable(installed, default_set=True)
    assert module is not None
    yield module
    addon_utils.disable(installed, default_set=True)
