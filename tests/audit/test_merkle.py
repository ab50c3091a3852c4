"""The tree and its proofs, against published values and against each other."""

from __future__ import annotations

import base64
from hashlib import sha256

import pytest

from careweir.audit.merkle import EMPTY_ROOT, Tree, extends, includes, leaf_hash, node_hash
from careweir.audit.note import NoteInvalid, Signer, VerifierKey, open_note

# The test vectors of RFC 6962's reference implementation: eight leaves, and the roots over them.
LEAVES = [
    bytes.fromhex(x)
    for x in (
        "", "00", "10", "2021", "3031", "40414243", "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]  # fmt: skip
ROOTS = {
    1: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    2: "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    8: "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
}


def tree_of(size: int) -> Tree:
    tree = Tree()
    for n in range(size):
        tree.append(leaf_hash(str(n).encode()))
    return tree


def naive_root(leaves: list[bytes]) -> bytes:
    """The definition of RFC 6962, word for word."""
    if len(leaves) == 1:
        return leaves[0]
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return node_hash(naive_root(leaves[:split]), naive_root(leaves[split:]))


def test_the_published_roots_come_out() -> None:
    tree = Tree()
    assert tree.root() == EMPTY_ROOT == sha256(b"").digest()
    for leaf in LEAVES:
        tree.append(leaf_hash(leaf))
        if len(tree) in ROOTS:
            assert tree.root().hex() == ROOTS[len(tree)]
    assert tree.root(2).hex() == ROOTS[2]


@pytest.mark.parametrize("size", range(1, 40))
def test_every_inclusion_proof_holds_and_only_for_its_leaf(size: int) -> None:
    tree = tree_of(size)
    root = naive_root([leaf_hash(str(n).encode()) for n in range(size)])
    assert tree.root() == root
    for index in range(size):
        proof = tree.inclusion(index, size)
        leaf = leaf_hash(str(index).encode())
        assert includes(leaf, index, size, proof, root)
        assert not includes(leaf_hash(b"x"), index, size, proof, root)
        assert not includes(leaf, index, size, [*proof, root], root)
        assert not any(includes(leaf, i, size, proof, root) for i in range(size) if i != index)


@pytest.mark.parametrize("second", range(1, 30))
def test_every_consistency_proof_holds_and_a_rewritten_tree_has_none(second: int) -> None:
    tree = tree_of(second)
    for first in range(1, second + 1):
        proof = tree.consistency(first, second)
        assert extends(first, tree.root(first), second, tree.root(), proof)
        assert not extends(first, leaf_hash(b"x"), second, tree.root(), proof)
        assert not extends(first, tree.root(first), second, leaf_hash(b"x"), proof)


ORIGIN = "careweir.example/audit"


def test_a_checkpoint_opens_under_its_key_only() -> None:
    signer, other = Signer(ORIGIN, b"s" * 32), Signer(ORIGIN, b"t" * 32)
    note = signer.sign(8, bytes.fromhex(ROOTS[8]))

    checkpoint = open_note(note, [signer.key])

    assert (checkpoint.origin, checkpoint.size) == (ORIGIN, 8)
    assert checkpoint.root.hex() == ROOTS[8]
    with pytest.raises(NoteInvalid):
        open_note(note, [other.key])
    with pytest.raises(NoteInvalid):
        open_note(note.replace("\n8\n", "\n9\n"), [signer.key])
    with pytest.raises(NoteInvalid):
        open_note("nothing", [signer.key])


def test_a_second_signature_of_an_unknown_key_is_passed_over() -> None:
    signer, witness = Signer(ORIGIN, b"s" * 32), Signer("witness.example", b"w" * 32)
    note = signer.sign(1, bytes(32))
    line = witness.sign(1, bytes(32)).splitlines()[-1]

    assert open_note(note + line + "\n", [signer.key]).size == 1


def test_a_bad_signature_of_a_known_key_is_never_passed_over() -> None:
    signer, witness = Signer(ORIGIN, b"s" * 32), Signer("witness.example", b"w" * 32)
    note = signer.sign(1, bytes(32))
    bad = base64.b64encode(witness.key.id + bytes(64)).decode()

    with pytest.raises(NoteInvalid, match="does not hold"):
        open_note(f"{note}— witness.example {bad}\n", [signer.key, witness.key])


def test_a_verifier_key_survives_as_text() -> None:
    key = Signer(ORIGIN, b"s" * 32).key

    assert VerifierKey.parse(str(key)) == key
    with pytest.raises(NoteInvalid):
        VerifierKey.parse(str(key).replace("+", "+0", 1))
