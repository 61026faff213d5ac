"""Shards as people have them: WebDataset's tar files and Hugging Face's Parquet files."""

import io
import json
import pathlib
import tarfile


def write_tar(path: str | pathlib.Path, members: list[tuple[str, bytes]]) -> None:
    """A tar file of (name, content)."""
    pathlib.Path(path).parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for name, content in members:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def samples(images: list[bytes], labels: list[int], first: int = 0) -> list[tuple[str, bytes]]:
    """The members of a tar file, as WebDataset writes them."""
    return [
        member
        for number, (image, label) in enumerate(zip(images, labels), first)
        for member in ((f"{number:06}.jpg", image), (f"{number:06}.cls", b"%d" % label))
    ]


def write_parquet(
    path: str | pathlib.Path,
    images: list[bytes | None],
    labels: list[int] | None = None,
    class_names: list[str] | None = None,
    as_struct: bool = True,
    **options,
) -> None:
    """A Parquet file as `datasets` writes it, with the schema's metadata."""
    import pyarrow as pa
    import pyarrow.parquet

    pathlib.Path(path).parent.mkdir(parents=True, exist_ok=True)
    image = pa.array(images, pa.binary())
    if as_struct:
        paths = pa.array([f"{number}.jpg" for number in range(len(images))])
        image = pa.StructArray.from_arrays([image, paths], ["bytes", "path"])
    columns = {"id": pa.array(range(len(images))), "image": image}
    features: dict = {"image": {"_type": "Image"}}
    if labels is not None:
        columns["label"] = pa.array(labels, pa.int64())
        features["label"] = {"names": class_names, "_type": "ClassLabel"}
    table = pa.table(columns)
    if class_names:
        described = json.dumps({"info": {"features": features}})
        table = table.replace_schema_metadata({"huggingface": described})
    pyarrow.parquet.write_table(table, path, **{"row_group_size": 4, **options})
