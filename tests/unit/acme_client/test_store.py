from __future__ import annotations

import json
import multiprocessing
import os
import stat
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from acme_client import store as store_module
from acme_client.addresses import AuthorityAddress
from acme_client.errors import NotHeld, StoreBusy, StoreError
from acme_client.keys import key_to_pem, new_key, same_key
from acme_client.store import HOME_VARIABLE, EnrolledCertificate, PendingOrder, State, Store, StoredAccount, key_hash
from ca_server.signing.issuer import Issuer
from stir.telephone_number import TelephoneNumber
from tests.fakes.authority import NOW, make_issuance

Install = Callable[..., EnrolledCertificate]


@pytest.fixture
def install(store: Store, address: AuthorityAddress, number: TelephoneNumber, issuer: Issuer) -> Install:
    """Install a certificate that begins now; `serial` and `of` tell one from another."""

    def installed(serial: int = 1, of: TelephoneNumber = number, at: AuthorityAddress = address) -> EnrolledCertificate:
        key = new_key()
        leaf = issuer.sign_certificate(of, key.public_key(), make_issuance(serial))
        return store.install(at, of, (leaf, issuer.certificate), key, validation=["sms-code"], now=NOW)

    return installed


def files(folder: Path) -> list[Path]:
    """Return everything below a folder."""
    return sorted(folder.rglob("*"))


def test_the_users_own_folder_is_the_default(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """ANSWERBACK_HOME names the store's folder; without it the platform's own data folder does."""
    address = AuthorityAddress.parse("ca.example")
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path / "named"))
    Store.open().keep_account(address, StoredAccount(ca=address.index_url))
    assert (tmp_path / "named" / "authorities").is_dir()
    monkeypatch.delenv(HOME_VARIABLE)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    Store.open().keep_account(address, StoredAccount(ca=address.index_url))
    assert (tmp_path / "data" / "answerback" / "authorities").is_dir()


def test_nobody_else_can_read_the_store(
    store: Store, address: AuthorityAddress, install: Install, tmp_path: Path
) -> None:
    """Files are 0600 and folders 0700, also under a careless umask."""
    former = os.umask(0)
    try:
        store.make_account_key(address)
        with store.enrolment_lock(address, TelephoneNumber.parse("+12025550123")):
            install()
    finally:
        os.umask(former)
    for path in [tmp_path / "home", *files(tmp_path / "home")]:
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


def test_a_store_that_others_can_look_into_is_refused(store: Store, address: AuthorityAddress, tmp_path: Path) -> None:
    """A folder of keys that was opened to others is an error that says what to do."""
    store.make_account_key(address)
    (tmp_path / "home" / "authorities").chmod(0o755)
    with pytest.raises(StoreError, match="chmod 700"), store.account_lock(address):
        pass


def test_an_account_key_is_made_once(store: Store, address: AuthorityAddress) -> None:
    """Each authority has one account key, and another authority another."""
    key = store.make_account_key(address)
    assert same_key(store.make_account_key(address), key.public_key())
    assert not same_key(store.make_account_key(AuthorityAddress.parse("other.example")), key.public_key())


def test_accounts_are_remembered_and_forgotten(
    store: Store, address: AuthorityAddress, number: TelephoneNumber
) -> None:
    """What is known of an account comes back, and a closed account takes its key and orders with it."""
    account = StoredAccount(ca=address.index_url, url="https://ca.example/acme/account/1", ca_bundle="/x")
    assert store.account(address) is None
    store.make_account_key(address)
    store.keep_account(address, account)
    store.keep_pending(address, number, PendingOrder(created_at=NOW, key_pem=key_to_pem(new_key())))
    assert store.account(address) == account
    assert store.accounts() == [account]
    store.forget_account(address)
    assert (store.account(address), store.account_key(address), store.accounts()) == (None, None, [])
    assert store.pending(address, number) is None


def test_an_order_under_way_comes_back_with_its_key(
    store: Store, address: AuthorityAddress, number: TelephoneNumber
) -> None:
    """An order is kept with the key of its certificate, and its repr shows no key."""
    key = new_key()
    order = PendingOrder(created_at=NOW, key_pem=key_to_pem(key), url="https://ca.example/acme/order/1")
    store.keep_pending(address, number, order)
    kept = store.pending(address, number)
    assert kept == order
    assert same_key(kept.key, key.public_key())
    assert "BEGIN" not in repr(kept)
    store.drop_pending(address, number)
    store.drop_pending(address, number)
    assert store.pending(address, number) is None


def test_an_installed_certificate_comes_back(
    store: Store, address: AuthorityAddress, number: TelephoneNumber, install: Install
) -> None:
    """What was installed is what the store lists, with a chain and a key that fit."""
    held = install()
    assert store.certificates() == [held]
    assert store.certificate(address, number) == held
    assert (held.number, held.ca, held.validation) == (number, address.index_url, ("sms-code",))
    assert len(held.chain()) == 2
    assert same_key(held.key(), held.chain()[0].public_key())


def test_an_account_key_never_becomes_a_certificates_key(
    store: Store, address: AuthorityAddress, number: TelephoneNumber, issuer: Issuer
) -> None:
    """RFC 8555 §11.1: the account key is not used for a certificate."""
    key = store.make_account_key(address)
    leaf = issuer.sign_certificate(number, key.public_key(), make_issuance())
    with pytest.raises(StoreError, match="must not be the account's key"):
        store.install(address, number, (leaf,), key, validation=[], now=NOW)
    assert store.certificates() == []


def test_certificates_are_listed_by_number(store: Store, install: Install) -> None:
    """There is at most one certificate for each number and authority, and they come in order."""
    other_number, other_place = TelephoneNumber.parse("+12025550100"), AuthorityAddress.parse("a.example")
    install(1)
    install(2, of=other_number)
    install(3, at=other_place)
    install(4)
    listed = [(held.number.digits[-3:], held.ca, held.serial) for held in store.certificates()]
    assert listed == [
        ("100", "https://ca.example/acme/index", "2"),
        ("123", "https://a.example/acme/index", "3"),
        ("123", "https://ca.example/acme/index", "4"),
    ]


@pytest.mark.parametrize("writes", range(5))
def test_a_process_killed_while_installing_leaves_the_old_certificate(
    store: Store,
    address: AuthorityAddress,
    number: TelephoneNumber,
    install: Install,
    monkeypatch: pytest.MonkeyPatch,
    writes: int,
) -> None:
    """Until the last file is in its place the former certificate counts, whole and readable."""
    held = install(1)
    rename, done = Path.replace, []

    def killed(self: Path, target: Path) -> Path:
        if len(done) == writes:
            raise KeyboardInterrupt
        done.append(target)
        return rename(self, target)

    monkeypatch.setattr(Path, "replace", killed)
    if writes < 4:
        with pytest.raises(KeyboardInterrupt):
            install(2)
        assert store.certificate(address, number) == held
        assert same_key(held.key(), held.chain()[0].public_key())
    else:
        assert install(2) == store.certificate(address, number)


def test_the_former_certificate_stays_readable_for_one_more_turn(store: Store, install: Install) -> None:
    """Whoever opened the former certificate may finish with it; the one before is cleared away."""
    first, second = install(1), install(2)
    assert first.chain()
    third = install(3)
    assert second.chain()
    assert not first.chain_path.exists()
    assert store.certificates() == [third]
    assert third.former_chains() == (second.chain(),)
    second.chain_path.write_bytes(b"damaged")
    assert third.former_chains() == ()


def test_installing_the_same_certificate_again_changes_nothing(
    store: Store, address: AuthorityAddress, number: TelephoneNumber, issuer: Issuer, install: Install
) -> None:
    """A certificate that is fetched again after a killed process keeps the former one in its place, too."""
    first = install(1)
    key = new_key()
    chain = (issuer.sign_certificate(number, key.public_key(), make_issuance(2)), issuer.certificate)
    for _ in range(2):
        second = store.install(address, number, chain, key, validation=["sms-code"], now=NOW)
    assert store.certificates() == [second]
    assert first.chain()


@pytest.mark.parametrize(
    ("age", "state"),
    [
        (timedelta(0), State.GOOD),
        (timedelta(days=4, hours=15), State.GOOD),
        (timedelta(days=4, hours=17), State.DUE),
        (timedelta(days=7), State.EXPIRED),
    ],
)
def test_a_certificate_is_due_in_the_last_third_of_its_life(install: Install, age: timedelta, state: State) -> None:
    """Of 7 days and an hour, the last 56 hours are for renewing."""
    assert install().state(NOW + age) is state


def test_a_revoked_certificate_says_so(store: Store, install: Install) -> None:
    """A revocation is remembered, unless another certificate has taken the place."""
    held = install(1)
    revoked = store.mark_revoked(held, NOW)
    assert revoked.state(NOW) is State.REVOKED
    assert store.certificates() == [revoked]
    install(2)
    with pytest.raises(NotHeld):
        store.mark_revoked(held, NOW)


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"{",
        b"[]",
        b'{"ca": 1}',
        b"\xff",
        {"number": "+1"},
        {"folder": "../elsewhere"},
        {"not_after": "yesterday"},
        {"surprise": 1},
    ],
)
def test_a_damaged_file_is_a_store_error(store: Store, install: Install, damage: bytes | dict[str, object]) -> None:
    """Whatever stands in a metadata file, reading it gives a StoreError that names the file."""
    path = install().chain_path.parent.parent / "current.json"
    path.write_bytes(
        damage if isinstance(damage, bytes) else json.dumps(json.loads(path.read_bytes()) | damage).encode()
    )
    with pytest.raises(StoreError, match=r"current\.json is damaged"):
        store.certificates()


def test_a_damaged_chain_is_a_store_error(install: Install) -> None:
    """A chain that is no PEM, and one that is missing, are StoreErrors."""
    held = install()
    held.chain_path.write_bytes(b"no certificate")
    with pytest.raises(StoreError, match="damaged"):
        held.chain()
    held.chain_path.unlink()
    with pytest.raises(StoreError, match="cannot use"):
        held.chain()


def test_a_store_that_cannot_be_written_says_what_to_do(tmp_path: Path, address: AuthorityAddress) -> None:
    """An impossible folder is a StoreError that names the variable to set."""
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=HOME_VARIABLE):
        Store(tmp_path / "file").make_account_key(address)
    with pytest.raises(StoreError, match=HOME_VARIABLE):
        Store(tmp_path / "file").account(address)


def test_half_written_files_are_cleared_away(store: Store, address: AuthorityAddress, number: TelephoneNumber) -> None:
    """What a killed process left half written is removed by the next one that holds the lock."""
    store.keep_account(address, StoredAccount(ca=address.index_url))
    store.keep_pending(address, number, PendingOrder(created_at=NOW, key_pem=b""))
    root = next(path for path in store._authorities.iterdir() if path.is_dir())
    left = [root / ".account.json.1.new", root / number.digits / ".pending.json.1.new"]
    for path in left:
        path.write_bytes(b"half")
    with store.account_lock(address), store.enrolment_lock(address, number):
        assert not any(path.exists() for path in left)
    assert store.account(address) is not None
    assert store.pending(address, number) is not None


def test_two_enrolments_of_one_number_do_not_run_at_once(
    store: Store, address: AuthorityAddress, number: TelephoneNumber
) -> None:
    """The second one is told at once; another number, or another authority, is no matter."""
    with store.enrolment_lock(address, number):
        with pytest.raises(StoreBusy, match="enrolling this number"), store.enrolment_lock(address, number):
            pass
        with store.enrolment_lock(address, TelephoneNumber.parse("+12025550124")):
            pass
    with store.enrolment_lock(address, number):
        pass


def test_a_lock_is_waited_for_only_so_long(
    store: Store, address: AuthorityAddress, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The account's lock is held for moments, so it is waited for; a process that hangs with it is reported."""
    monkeypatch.setattr(store_module, "_LOCK_PATIENCE", 0.1)
    with store.account_lock(address), pytest.raises(StoreBusy), store.account_lock(address):
        pass


def _make_key(home: Path, index_url: str, turns: int) -> None:
    address = AuthorityAddress(index_url)
    store = Store(home)
    for _ in range(turns):
        with store.account_lock(address):
            known = store.account(address) or StoredAccount(ca=index_url, url="0")
            store.keep_account(address, StoredAccount(ca=index_url, url=str(int(known.url or 0) + 1)))


def test_two_processes_share_a_store(store: Store, address: AuthorityAddress, tmp_path: Path) -> None:
    """Changes under the lock are never lost between processes."""
    context = multiprocessing.get_context("spawn")
    work = (tmp_path / "home", address.index_url, 20)
    processes = [context.Process(target=_make_key, args=work) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(timeout=60)
    account = store.account(address)
    assert account is not None
    assert account.url == "40"


def test_reading_the_store_imports_no_network_library(tmp_path: Path) -> None:
    """A program that only signs calls is not made to wait for acme and requests."""
    import subprocess  # noqa: PLC0415
    import sys  # noqa: PLC0415

    code = (
        "import sys, acme_client; acme_client.Store.open().certificates(); "
        "acme_client.code_from_sms('@ca.example #12345678', 'ca.example'); "
        "print(sorted({'acme', 'requests', 'josepy'} & set(sys.modules)))"
    )
    environment = os.environ | {HOME_VARIABLE: str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_package_has_the_names_that_it_lists() -> None:
    """Every public name is where the package says, and any other is an AttributeError."""
    import acme_client  # noqa: PLC0415

    for name in acme_client._HOMES:
        assert getattr(acme_client, name) is not None
        assert name in dir(acme_client)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = acme_client.nothing


def test_the_x509_of_a_held_certificate_is_what_was_issued(install: Install) -> None:
    """The metadata says what the certificate says."""
    held = install(5)
    leaf = held.chain()[0]
    assert isinstance(leaf, x509.Certificate)
    assert (held.serial, held.not_before, held.not_after) == ("5", leaf.not_valid_before_utc, leaf.not_valid_after_utc)
    assert isinstance(held.key(), ec.EllipticCurvePrivateKey)


def test_the_repr_of_a_held_certificate_masks_the_number(install: Install, number: TelephoneNumber) -> None:
    """Neither the number nor the paths of its files tell it to a log."""
    assert number.digits not in repr(install())
    assert number.digits[-7:] not in repr(install())


def test_the_keys_of_certificates_that_are_gone_are_known(
    store: Store, address: AuthorityAddress, number: TelephoneNumber, install: Install
) -> None:
    """Whoever watches the number tells its own former certificates, and orders under way, from a stranger's."""
    keys = {key_hash(install(serial).key().public_key()) for serial in (1, 2, 3)}
    pending = new_key()
    store.keep_pending(address, number, PendingOrder(created_at=NOW, key_pem=key_to_pem(pending)))
    install(of=TelephoneNumber.parse("+12025550199"))
    assert store.own_keys(number) == keys | {key_hash(pending.public_key())}
    assert store.own_keys(TelephoneNumber.parse("+12025550177")) == frozenset()


def test_the_keys_of_revoked_certificates_are_known(store: Store, number: TelephoneNumber, install: Install) -> None:
    """Also once others have taken their places: what they signed is not to be signed anew."""
    install(1)
    assert store.revoked_keys(number) == frozenset()
    lost = set()
    for serial in (2, 3):
        held = install(serial)
        for _ in range(2):
            store.mark_revoked(held, NOW)
        lost.add(key_hash(held.key().public_key()))
    install(4)
    assert store.revoked_keys(number) == lost
    assert lost < store.own_keys(number)
    assert store.revoked_keys(TelephoneNumber.parse("+12025550177")) == frozenset()


def test_the_same_certificate_is_remembered_once(
    store: Store, address: AuthorityAddress, number: TelephoneNumber, issuer: Issuer
) -> None:
    """A certificate that is fetched again after a killed process adds no key."""
    key = new_key()
    leaf = issuer.sign_certificate(number, key.public_key(), make_issuance(1))
    for _ in range(2):
        store.install(address, number, (leaf, issuer.certificate), key, validation=[], now=NOW)
    assert store.own_keys(number) == {key_hash(key.public_key())}
