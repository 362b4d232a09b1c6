"""What is on disk: one ONNX file with its manifest inside.

The manifest is JSON in ``metadata_props["dyncompile"]``. Large weights go to a second file,
``<name>.data``, whose size and digest the manifest holds.
"""

from __future__ import annotations

__all__ = ["read", "serialise", "write"]

import dataclasses
import hashlib
import importlib.metadata
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import onnx
import onnx_ir as ir

from dyncompile.dialect import BUDGETS
from dyncompile.engine_file import SUFFIX
from dyncompile.errors import ArtifactError
from dyncompile.files import replacing
from dyncompile.manifest import METADATA_KEY, ExternalData, Manifest

_IR_VERSION = 10
_EXTERNAL_FROM_BYTES = 1_800_000_000
_INLINE_UP_TO_BYTES = 1024
_INLINE_INTEGERS_UP_TO_BYTES = 65_536  # sizes and positions, which shape inference reads
_ALIGNMENT = 4096  # a page, so that the runtime can map the file
_PRODUCER = "dyncompile"
_FOREIGN_METADATA = ("pkg.", "namespace")


def write(
    model: ir.Model,
    manifest: Manifest,
    path: Path,
    *,
    external_data: bool | None = None,
    keep_notes: bool = False,
) -> None:
    """Write an artifact, whole or not at all; the model is left as it is.

    The same model and manifest give the same bytes on any day and in any folder under the same
    file name: the exporter's notes, documentation strings and versions are left out.

    Args:
        model: A lowered or marked graph.
        manifest: What to say about it; ``external_data`` is filled in.
        path: The file to write.
        external_data: Whether weights go to ``<path>.data``; None decides by size (1.8 GB).
        keep_notes: Keep versions, producer, documentation and metadata of the model, as of a
            file made elsewhere; what exporters noted on single nodes goes.

    Raises:
        ArtifactError: the file cannot be written, or is too large for one file.
    """
    tensors = [tensor for _, tensor in _weights(model)]
    if external_data is None:
        external_data = sum(tensor.nbytes for tensor in tensors) > _EXTERNAL_FROM_BYTES
    if not external_data or not any(map(_is_large, tensors)):
        if any(isinstance(tensor, ir.ExternalTensor) for tensor in tensors):
            model = ir.external_data.load_to_model(model.clone())
        alone = dataclasses.replace(manifest, external_data=None)
        content = _content(model, alone, path, keep_notes=keep_notes)
        with replacing(path) as file:
            file.write(content)
        return
    copy = model.clone()
    data_path = path.with_name(f"{path.name}.data")
    with replacing(path) as file, replacing(data_path) as data:
        external = _write_weights(_weights(copy), data, data_path.name)
        split = dataclasses.replace(manifest, external_data=external)
        file.write(_content(copy, split, path, keep_notes=keep_notes))
        file.flush()  # both are on the disk before the first takes its name


def serialise(model: ir.Model, where: str) -> bytes:
    """Return the model as it would be written, for use in memory.

    Raises:
        ArtifactError: it is larger than one file can be.
    """
    return _bytes(_stripped(model), where)


def read(path: Path) -> tuple[ir.Model, Manifest | None]:
    """Read an artifact, or any ONNX file.

    Weights in a second file are checked against the manifest and read when they are used.

    Returns:
        The graph, and its manifest; None if another tool wrote the file.

    Raises:
        ArtifactError: missing, damaged, or written by a newer version.
    """
    try:
        proto = onnx.ModelProto.FromString(path.read_bytes())
    except OSError as error:
        raise ArtifactError(
            f"cannot be read: {error.strerror or error}.",
            where=str(path),
            remedy="Check the name of the file.",
        ) from error
    except Exception as error:
        raise _not_onnx(path) from error
    entries = {entry.key: entry.value for entry in proto.metadata_props}
    manifest = None
    if METADATA_KEY in entries:
        manifest = Manifest.from_json(entries[METADATA_KEY], str(path))
    elif proto.producer_name == _PRODUCER:  # the manifest follows the graph
        raise _not_onnx(path)
    if not (proto.ir_version and proto.HasField("graph") and proto.opset_import):
        raise _not_onnx(path)
    try:
        model = ir.from_proto(proto)
    except Exception as error:
        raise _not_onnx(path) from error
    if lost := _lost_value(model):
        raise ArtifactError(
            f"the graph reads {lost!r}, which nothing computes.",
            where=str(path),
            remedy="Copy or export it again.",
        )
    model.metadata_props.pop(METADATA_KEY, None)
    _check_external_data(model, manifest, path)
    return model, manifest


def _lost_value(model: ir.Model) -> str | None:
    for node in model.graph.all_nodes():
        for value in node.inputs:
            if value is None or value.producer() is not None:
                continue
            if not (value.is_graph_input() or value.is_initializer()):
                return value.name
    return None


def _weights(model: ir.Model) -> Iterator[tuple[ir.Value, ir.TensorProtocol]]:
    """All initializers and their contents, subgraphs included."""
    for graph in model.graphs():
        for value in graph.initializers.values():
            if value.const_value is not None:
                yield value, value.const_value


def _is_large(tensor: ir.TensorProtocol) -> bool:
    """Whether a tensor is worth a place in a second file."""
    if tensor.dtype == ir.DataType.STRING:
        return False
    is_integer = tensor.dtype in {ir.DataType.INT32, ir.DataType.INT64}
    return tensor.nbytes > (_INLINE_INTEGERS_UP_TO_BYTES if is_integer else _INLINE_UP_TO_BYTES)


def _write_weights(
    weights: Iterable[tuple[ir.Value, ir.TensorProtocol]], file: BinaryIO, name: str
) -> ExternalData:
    """Move weights to the file; the values then refer to it."""
    digest, size = hashlib.sha256(), 0
    places: dict[int, tuple[int, int]] = {}
    moved = []  # keeps the tensors alive, so that no id is used twice
    for value, tensor in weights:
        if not _is_large(tensor):
            continue
        if id(tensor) not in places:
            content = tensor.tobytes()
            padding = bytes(-size % _ALIGNMENT)
            for chunk in (padding, content):
                file.write(chunk)
                digest.update(chunk)
            size += len(padding)
            places[id(tensor)] = size, len(content)
            size += len(content)
        offset, length = places[id(tensor)]
        moved.append(tensor)
        value.const_value = ir.ExternalTensor(
            name,
            offset,
            length,
            tensor.dtype,
            shape=ir.Shape(tensor.shape.numpy()),
            name=value.name or "",
        )
    return ExternalData(name, size, digest.hexdigest())


def _content(model: ir.Model, manifest: Manifest, path: Path, *, keep_notes: bool) -> bytes:
    if keep_notes:
        proto = ir.to_proto(model)
        _strip_graph(proto.graph, _drop_notes)
    else:
        proto = _stripped(model)
    proto.metadata_props.add(key=METADATA_KEY, value=manifest.to_json())
    return _bytes(proto, str(path))


def _bytes(proto: onnx.ModelProto, where: str) -> bytes:
    try:
        content: bytes = proto.SerializeToString(deterministic=True)
    except Exception as error:
        raise ArtifactError(
            "larger than the 2 GB one ONNX file can hold.",
            where=where,
            remedy="Keep the weights in a second file (external data).",
        ) from error
    return content


def _stripped(model: ir.Model) -> onnx.ModelProto:
    """Serialise without anything that depends on who exported it, when, and where."""
    proto = ir.to_proto(model)
    proto.ir_version = _IR_VERSION
    proto.producer_name, proto.producer_version = _PRODUCER, _version()
    for field in ("doc_string", "domain", "model_version"):
        proto.ClearField(field)
    _strip_metadata(proto)
    told = {METADATA_KEY, BUDGETS}  # by the manifest
    kept = sorted((p.key, p.value) for p in proto.metadata_props if p.key not in told)
    proto.ClearField("metadata_props")
    for key, value in kept:
        proto.metadata_props.add(key=key, value=value)
    _strip_graph(proto.graph, _strip_metadata)
    for function in proto.functions:
        _strip_metadata(function)
        _strip_nodes(function.node, _strip_metadata)
        for value in function.value_info:
            _strip_metadata(value)
    return proto


def _strip_graph(graph: onnx.GraphProto, strip: Callable[[Any], None]) -> None:
    strip(graph)
    _strip_nodes(graph.node, strip)
    for entries in (graph.input, graph.output, graph.value_info, graph.initializer):
        for entry in entries:
            strip(entry)
    stored = {tensor.name for tensor in graph.initializer}
    described = [
        value
        for value in graph.value_info
        if value.name not in stored and (value.HasField("type") or value.metadata_props)
    ]
    if len(described) < len(graph.value_info):  # says nothing, or no more than the tensor does
        graph.ClearField("value_info")
        graph.value_info.extend(described)


def _strip_nodes(nodes: Iterable[onnx.NodeProto], strip: Callable[[Any], None]) -> None:
    for node in nodes:
        strip(node)
        for attribute in node.attribute:
            strip(attribute)
            if attribute.HasField("t"):
                strip(attribute.t)
            if attribute.HasField("g"):
                _strip_graph(attribute.g, strip)
            for graph in attribute.graphs:
                _strip_graph(graph, strip)


def _strip_metadata(proto: Any) -> None:  # noqa: ANN401
    """Clear what other tools noted on any message that has notes, and its documentation."""
    if proto.doc_string:
        proto.ClearField("doc_string")
    _drop_notes(proto)


def _drop_notes(proto: Any) -> None:  # noqa: ANN401
    """Clear what exporters noted: names of modules, stack traces with the paths of a machine."""
    if not getattr(proto, "metadata_props", None):  # attributes have none
        return
    kept = [
        (entry.key, entry.value)
        for entry in proto.metadata_props
        if not entry.key.startswith(_FOREIGN_METADATA)
    ]
    if len(kept) < len(proto.metadata_props):
        proto.ClearField("metadata_props")
        for key, value in kept:
            proto.metadata_props.add(key=key, value=value)


def _version() -> str:
    try:
        return importlib.metadata.version("dyncompile")
    except importlib.metadata.PackageNotFoundError:
        return "0"


def _check_external_data(model: ir.Model, manifest: Manifest | None, path: Path) -> None:
    folder = path.absolute().parent
    for graph in model.graphs():
        ir.external_data.set_base_dir(graph, folder)
    sizes: dict[str, int] = {}
    for _, tensor in _weights(model):
        if isinstance(tensor, ir.ExternalTensor):
            file = str(tensor.location)
            if file not in sizes:
                sizes[file] = _size_inside(folder, file, path)
            if (tensor.offset or 0) + (tensor.length or tensor.nbytes) > sizes[file]:
                raise _lost_weights(path, file, "is too short")
    if manifest and manifest.external_data:
        _check_digest(manifest.external_data, folder, path)


def _check_digest(expected: ExternalData, folder: Path, path: Path) -> None:
    if _size_inside(folder, expected.file, path) != expected.bytes:
        raise _lost_weights(path, expected.file, f"should have {expected.bytes} bytes")
    with (folder / expected.file).open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != expected.sha256:
        raise _lost_weights(path, expected.file, "is not the one written with it")


def _size_inside(folder: Path, file: str, path: Path) -> int:
    """Return the size of a file of that folder; a name that leads out of it is refused."""
    target = (folder / file).resolve()
    if not target.is_relative_to(folder.resolve()):
        raise _lost_weights(path, file, "lies outside its folder")
    if not target.is_file():
        raise _lost_weights(path, file, "is missing")
    return target.stat().st_size


def _lost_weights(path: Path, file: str, problem: str) -> ArtifactError:
    return ArtifactError(
        f"its weights file {file!r} {problem}.",
        where=str(path),
        remedy="Keep the two files together, or export the network again.",
    )


def _not_onnx(path: Path) -> ArtifactError:
    if path.suffix == SUFFIX:
        return ArtifactError(
            "an engine, which can be loaded, run and inspected, not read as a network.",
            where=str(path),
            remedy="Give the ONNX file or the module that it was built from.",
        )
    return ArtifactError(
        "not an ONNX file, or damaged or cut short.",
        where=str(path),
        remedy="Copy or export it again.",
    )
