"""The events of the journal and the kinds of alerts. `docs/reference/events.md` is rendered from this module.

The texts are never renamed, because existing journals and the receivers of webhooks contain them.
"""

from koschey.explained import Explained


class Event(Explained):
    """What happened, according to a row of the journal."""

    # Decisions of reviewers. The texts are those of `quarantine.decision.Choice`.
    APPROVE = "approve", "A reviewer released the held files of a release."
    BLOCK = "block", "A reviewer blocked a release or a project, including its future files."
    UNBLOCK = "unblock", "A reviewer lifted a block; the files are held again."
    TRUST = "trust", "A reviewer trusted a project: no window holds its releases."
    UNTRUST = "untrust", "A reviewer ended the trust in a project."
    EXTEND = "extend", "A reviewer extended the quarantine of a release."
    EXCEPT = "except", "A reviewer made an exception: exactly these bytes are served for a time, though they are held."
    RECALL = "recall", "A reviewer blocked harmful files; every client that downloaded them is to be notified."
    PROPOSE = "propose", "A reviewer proposed a decision that needs a second person."

    # Policy.
    POLICY = "policy", "An admin added, changed or removed a rule of the policy; the project is the rule's scope."
    POLICY_ENDED = "policy ended", "A rule expired and was removed."
    RESERVE = "reserve", "A reviewer reserved names for private packages; the project is the pattern."
    UNRESERVE = "unreserve", "A reviewer ended a reservation."
    CLAIM_NAME = "claim name", "An admin claimed a mirrored name for private packages."
    RELEASE_NAME = "release name", "An admin gave a private name back to its upstream."
    SWITCH_UPLOAD_RULE = "switch upload rule", "An admin switched a rule for uploads on or off."

    # Files.
    CREATE_PROJECT = "create project", "A project without files was added."
    ADD_FILE = "add file", "A file was uploaded, or an upstream first listed it; `state` is its first state."
    UPDATE_FILE = "update file", "An upstream changed what it says of a file: its yank, core metadata or provenance."
    HELD = "held", "A file became held: an upstream lists a withdrawn file again, and the file is judged again."
    RELEASED = "released", "A file was released without a decision: its window ended, or its project is trusted."
    BLOCKED = (
        "blocked",
        "A file was blocked without a decision: by a rule, a check, an advisory or its upstream.",
    )
    CONFLICT = "conflict", "An upstream lists other bytes under a filename that is known; the old bytes stay."
    FETCH_FAILED = "fetch failed", "The bytes of a held file could not be downloaded."
    FILE_FACTS = "file facts", "A download showed the digest, the size or the origin of a file."
    CORE_METADATA = "core metadata", "The core metadata of a wheel was read."
    ATTESTATION = "attestation", "A provenance object was verified, and it or the verdict is new."
    CHECK = "check", "A check examined a file, and its findings or its fault are new."
    CHECKS = "checks", "A worker started with checks that this index did not have."
    DAMAGED = "damaged", "The bucket has lost or altered the bytes, or the core metadata, of a file."
    REPAIRED = "repaired", "The bytes, or the core metadata, of a damaged file are whole again."
    YANK_FILE = "yank file", "A file was yanked by its maintainers here."
    YANK_RELEASE = "yank release", "A release was yanked by its maintainers here."
    UNYANK_FILE = "unyank file", "A file was unyanked by its maintainers here."
    UNYANK_RELEASE = "unyank release", "A release was unyanked by its maintainers here."
    REMOVE_FILE = "remove file", "A file was removed here; its filename cannot be used again."
    REMOVE_RELEASE = "remove release", "A release was removed here; its filenames cannot be used again."
    REMOVE_PROJECT = "remove project", "All files of a project were removed here; their filenames cannot be used again."

    # Upstreams and advisories.
    PROJECT_STATUS = "project status", "The status of a project changed (PEP 792), here or upstream."
    PROJECT_RETURNED = "project returned", "A project is back upstream after an absence, perhaps with another owner."
    ABSENCE_SUSPECTED = "absence suspected", "An upstream does not list a file or a project; it is not confirmed yet."
    ABSENCE_CONFIRMED = (
        "absence confirmed",
        "Further refreshes confirmed that an upstream does not list a file or a project.",
    )
    ABSENCE_ENDED = "absence ended", "An upstream lists an absent file or project again."
    ABSENT_UPSTREAM = "absent upstream", "Written by 0.1.0 alone: an upstream did not list a file."
    SECURITY_FIX_WAITS = "security fix waits", "A held release fixes a vulnerability of a release downloaded from here."
    ADVISORY_WITHDRAWN = "advisory withdrawn", "An advisory for which a file is blocked no longer calls it malware."

    # Accounts. These entries have no project; `detail` names the account, the token or the grant.
    ADD_ACCOUNT = "add account", "An account was added."
    DISABLE_ACCOUNT = "disable account", "An account was disabled: its sessions ended, and its tokens prove nothing."
    ENABLE_ACCOUNT = "enable account", "A disabled account was enabled again."
    SET_PASSWORD = "set password", "The password of an account was set; its sessions ended."
    SET_GROUPS = "set groups", "The groups of an account were set."
    ADD_TOKEN = "add token", "A token was made for an account."
    REVOKE_TOKEN = "revoke token", "A token was revoked."
    ADD_GRANT = "add grant", "A role was granted to an account or to a group."
    REMOVE_GRANT = "remove grant", "A grant was removed."

    FORGET_DOWNLOADS = "forget downloads", "Old rows of the download log were deleted, as the settings require."


class AlertKind(Explained):
    """What an alert is about: `kind` in the API and in what the webhook receives."""

    RECALL = (
        "recall",
        "A reviewer recalled a release, or an advisory calls stored files malware; the files are blocked.",
    )
    ADVISORY_WITHDRAWN = (
        "advisory withdrawn",
        "An advisory no longer calls files malware; they stay blocked until a reviewer unblocks them.",
    )
    SECURITY_FIX_WAITS = "security fix waits", "A held release fixes a vulnerability of a release downloaded from here."
    FINDING = "finding", "A check made a serious finding in a file."
    LATE_FILE = "late file", "An upstream added a file to a release that was released before."
    CONFLICT = "conflict", "An upstream lists other bytes under a filename that is known."
    ABSENCE_SUSPECTED = "absence suspected", "An upstream does not list a file or a project; it is not confirmed yet."
    ABSENCE_CONFIRMED = (
        "absence confirmed",
        "An upstream has removed a file or a project; `served` or `state` is the effect.",
    )
    ABSENCE_ENDED = "absence ended", "An upstream lists an absent file or project again."
    WITHDRAWN = "withdrawn", "Raised by 0.1.0 alone: an upstream did not list a file."
    PROJECT_RETURNED = "project returned", "A project is back upstream after an absence, perhaps with another owner."
    PROJECT_QUARANTINED = (
        "project quarantined",
        "An upstream has quarantined a project (PEP 792); none of its files is served.",
    )
    DAMAGED = "damaged", "The bucket has lost or altered the bytes, or the core metadata, of a file."
