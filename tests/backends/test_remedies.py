"""What a reader is told to do where no mount is permitted.

No machine of a test has AppArmor and SELinux and every setting: what the kernel would say of them
is given here. test_probe_matrix.py has the refusals that are real.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from overlaylab.backends import probe
from overlaylab.linux import namespaces, users

from ..helpers import python
from .test_probe_matrix import TOOLS

Remedy = Callable[..., str]
NO_NAMESPACE = "unshare(CLONE_NEWUSER|CLONE_NEWNS) was refused: EPERM, Operation not permitted."
NO_MAP = "writing /proc/self/uid_map was refused: EPERM, Operation not permitted."


@pytest.fixture
def remedy(monkeypatch: pytest.MonkeyPatch) -> Remedy:
    def remedy(
        *,
        user: int = 1000,
        refused: str | None = NO_NAMESPACE,
        settings: dict[str, str] | None = None,
        label: str = "",
        sign: str = "",
        may_administer: bool = False,
        environment: str = "",
    ) -> str:
        """The sentence for `user`, whose kernel was `refused` that (None: it has no launcher)."""
        entered = namespaces.Entered("plain", refused) if refused is not None else None
        monkeypatch.setattr(namespaces, "entered", entered)
        monkeypatch.setattr(users, "in_user_namespace", lambda: False)
        monkeypatch.setattr(os, "getuid", lambda: user)
        monkeypatch.setattr(os.path, "exists", lambda path: path == sign)
        monkeypatch.setattr(probe, "_setting", lambda name: (settings or {}).get(name, ""))
        monkeypatch.setattr(probe, "_label", lambda: label)
        monkeypatch.setattr(probe, "_may_administer", lambda: may_administer)
        for name in ("BINDER_LAUNCH_HOST", "KUBERNETES_SERVICE_HOST"):
            monkeypatch.delenv(name, raising=False)
        if environment:
            monkeypatch.setenv(environment, "10.0.0.1")
        return probe._remedy()

    return remedy


@pytest.mark.parametrize(
    ("setting", "value", "command"),
    [
        # Debian 10, and Arch's hardened kernel.
        ("kernel/unprivileged_userns_clone", "0", "kernel.unprivileged_userns_clone=1"),
        # RHEL 7, and later ones after a hardening guide.
        ("user/max_user_namespaces", "0", "user.max_user_namespaces=1000"),
        # Ubuntu 24.04 and later.
        (
            "kernel/apparmor_restrict_unprivileged_userns",
            "1",
            "kernel.apparmor_restrict_unprivileged_userns=0",
        ),
    ],
)
def test_a_setting_that_forbids_user_namespaces_is_named(
    remedy: Remedy, setting: str, value: str, command: str
):
    for refused in (NO_NAMESPACE, NO_MAP):
        assert remedy(refused=refused, settings={setting: value}) == (
            f"run 'sudo sysctl {command}' and restart the kernel, or run overlaylab as root"
        )


def test_settings_that_permit_are_not_named(remedy: Remedy):
    settings = {
        "kernel/unprivileged_userns_clone": "1",
        "user/max_user_namespaces": "96365",
        "kernel/apparmor_restrict_unprivileged_userns": "0",
    }
    said = remedy(settings=settings)
    assert said == "run overlaylab as root, or in a privileged container"


#: Docker on Ubuntu 24.04: the container sees the machine's setting.
UBUNTU = {"kernel/apparmor_restrict_unprivileged_userns": "1"}
DOCKER = {"sign": "/.dockerenv", "label": "docker-default (enforce)", "settings": UBUNTU}


def test_root_in_docker_on_ubuntu_is_not_sent_to_a_setting_about_users(remedy: Remedy):
    assert remedy(user=0, refused="unshare(CLONE_NEWNS) was refused: EPERM, no.", **DOCKER) == (
        "start this container with --privileged, or with --cap-add SYS_ADMIN "
        "--cap-add DAC_READ_SEARCH --security-opt apparmor=unconfined"
    )


def test_a_user_in_docker_on_ubuntu_is_refused_by_docker_first(remedy: Remedy):
    assert remedy(**DOCKER) == "start this container with --privileged"


def test_a_user_in_a_privileged_container_on_ubuntu_is_refused_by_ubuntu(remedy: Remedy):
    said = remedy(sign="/.dockerenv", label="unconfined", settings=UBUNTU, refused=NO_MAP)
    assert "sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0" in said


def test_root_with_the_right_whom_a_profile_refuses_is_told_about_the_profile(remedy: Remedy):
    said = remedy(user=0, may_administer=True, **DOCKER)
    assert said.endswith("--privileged, or with --security-opt apparmor=unconfined")


@pytest.mark.parametrize("sign", ["/.dockerenv", "/run/.containerenv"])
def test_root_in_a_container_with_selinux(remedy: Remedy, sign: str):
    """container_t may not mount, whatever its capabilities."""
    label = "system_u:system_r:container_t:s0:c3,c283"
    said = remedy(user=0, may_administer=True, sign=sign, label=label)
    assert said.endswith("--privileged, or with --security-opt label=disable")


def test_a_container_that_nothing_else_confines(remedy: Remedy):
    said = remedy(user=0, sign="/.dockerenv")
    more = "--cap-add SYS_ADMIN --cap-add DAC_READ_SEARCH"
    assert said == f"start this container with --privileged, or with {more}"
    said = remedy(user=0, sign="/.dockerenv", may_administer=True)
    assert said == "start this container with --privileged"


def test_a_pod_is_started_by_somebody_else(remedy: Remedy):
    said = remedy(environment="KUBERNETES_SERVICE_HOST")
    assert said == "have this pod started with 'privileged: true' in its securityContext"


def test_without_the_launcher_the_kernel_comes_first(remedy: Remedy):
    assert remedy(refused=None).startswith("choose the kernel named overlaylab")
    said = remedy(refused=None, **DOCKER)
    assert said.endswith("; if that is refused, start this container with --privileged")


@pytest.mark.parametrize("dropped", [False, True])
def test_the_right_to_administer_is_asked_of_the_kernel(dropped: bool):
    """The tests have it, in the machine's user namespace or their own."""
    code = f"{TOOLS}\nfrom overlaylab.backends import probe\nif {dropped}: drop_capabilities()\n"
    assert python("-c", code + "print(probe._may_administer())").stdout == f"{not dropped}\n"
