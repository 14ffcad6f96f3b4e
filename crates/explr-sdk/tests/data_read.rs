//! Files of data, as other programs write them, and damaged ones.
#![cfg(feature = "torch")]
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use explr_sdk::data::{DataLoader, Dataset, read};
use explr_sdk::tch::{Kind, Tensor, kind};
use flate2::Compression;
use flate2::write::GzEncoder;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

fn reference(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/reference/arrays")
        .join(name)
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// What an error says, without the path that it must begin with.
fn problem<T: std::fmt::Debug>(path: &Path, outcome: Result<T, read::ReadError>) -> String {
    let error = outcome.unwrap_err().to_string();
    let path = format!("`{}", path.display());
    error
        .strip_prefix(&path)
        .unwrap_or_else(|| panic!("{error}"))
        .to_owned()
}

#[test]
fn idx_files_are_read_plain_and_packed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("train-images-idx3-ubyte");
    let bytes = [
        &[0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 3][..],
        &[1, 2, 3, 4, 5, 255],
    ]
    .concat();
    let wanted = Tensor::from_slice(&[1_u8, 2, 3, 4, 5, 255]).view([2, 1, 3]);
    for bytes in [bytes.clone(), gzip(&bytes)] {
        fs::write(&path, bytes).unwrap();
        let read = read::idx(&path).unwrap();
        assert_eq!((read.size(), read.kind()), (vec![2, 1, 3], Kind::Uint8));
        assert!(read.equal(&wanted));
    }
    // Numbers have their high byte first.
    fs::write(
        &path,
        [0, 0, 0x0c, 1, 0, 0, 0, 2, 0, 0, 1, 2, 255, 255, 255, 254],
    )
    .unwrap();
    assert!(
        read::idx(&path)
            .unwrap()
            .equal(&Tensor::from_slice(&[258_i32, -2]))
    );
    fs::write(
        &path,
        [&[0, 0, 0x0e, 1, 0, 0, 0, 1][..], &2.5_f64.to_be_bytes()].concat(),
    )
    .unwrap();
    assert!(
        read::idx(&path)
            .unwrap()
            .equal(&Tensor::from_slice(&[2.5_f64]))
    );
}

#[test]
fn damaged_idx_files_are_errors() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("labels");
    let header = [0, 0, 8, 1, 0, 0, 0, 3];
    let huge = [
        0, 0, 8, 4, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
    ];
    for (bytes, wanted) in [
        (b"PK\x03\x04".to_vec(), "does not begin with two zero bytes"),
        (vec![0, 0], "does not begin with two zero bytes"),
        (vec![0, 0, 7, 1], "type 0x07 is unknown"),
        (
            vec![0, 0, 8, 2, 0, 0, 0, 1],
            "the file ends within the sizes of its 2 dimensions",
        ),
        (
            [&header[..], &[1, 2]].concat(),
            "[3] elements of 1 bytes do not fit 2 bytes",
        ),
        (
            [&header[..], &[1; 4]].concat(),
            "[3] elements of 1 bytes do not fit 4 bytes",
        ),
        (huge.to_vec(), "do not fit 0 bytes"),
        (gzip(&[0; 1000])[..20].to_vec(), ""),
    ] {
        fs::write(&path, bytes).unwrap();
        let problem = problem(&path, read::idx(&path));
        assert!(problem.contains(wanted), "{problem}");
    }
    fs::remove_file(&path).unwrap();
    assert!(problem(&path, read::idx(&path)).contains("No such file"));
}

#[test]
fn arrays_of_every_type_are_read_as_numpy_wrote_them() {
    let grid = Tensor::arange(6, kind::INT64_CPU).view([2, 3]);
    for (name, kind) in [
        ("bool", Kind::Bool),
        ("uint8", Kind::Uint8),
        ("int8", Kind::Int8),
        ("int16", Kind::Int16),
        ("int32", Kind::Int),
        ("int64", Kind::Int64),
        ("float16", Kind::Half),
        ("float32", Kind::Float),
        ("float64", Kind::Double),
        ("version_2", Kind::Int64),
    ] {
        let array = read::npy(reference(&format!("{name}.npy"))).unwrap();
        assert_eq!(array.kind(), kind, "{name}");
        assert!(array.equal(&grid.to_kind(kind)), "{name}: {array:?}");
    }
    let read = |name: &str| read::npy(reference(name)).unwrap();
    let fortran = Tensor::arange(24, kind::FLOAT_CPU).view([2, 3, 4]);
    assert!(read("fortran.npy").equal(&fortran));
    assert!(read("big_endian.npy").equal(&(grid.to_kind(Kind::Double) + 0.5)));
    assert_eq!(
        (
            read("scalar.npy").size(),
            read("scalar.npy").double_value(&[])
        ),
        (vec![], 2.5)
    );
    assert_eq!(read("empty.npy").size(), [0, 3]);
}

#[test]
fn archives_of_arrays_are_read_packed_or_not() {
    let two = read::npz(reference("two.npz")).unwrap();
    let names: Vec<&str> = two.iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["x", "y"]);
    let grid = Tensor::arange(6, kind::FLOAT_CPU).view([2, 3]);
    assert!(two.get("x").unwrap().equal(&grid));
    assert!(
        two.get("y")
            .unwrap()
            .equal(&Tensor::from_slice(&[1_i64, 0]))
    );
    let packed = read::npz(reference("compressed.npz")).unwrap();
    assert!(packed.get("x").unwrap().equal(&grid.repeat([50, 1])));
}

#[test]
fn arrays_that_are_no_tensor_or_damaged_are_errors() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.npy");
    let whole = fs::read(reference("float32.npy")).unwrap();
    for (bytes, wanted) in [
        (b"hello".to_vec(), "not an array of NumPy"),
        (whole[..9].to_vec(), "the file ends within its header"),
        (whole[..40].to_vec(), "the file ends within its header"),
        (
            whole[..whole.len() - 1].to_vec(),
            "[2, 3] elements of 4 bytes do not fit 23 bytes",
        ),
    ] {
        fs::write(&path, bytes).unwrap();
        let problem = problem(&path, read::npy(&path));
        assert!(problem.contains(wanted), "{problem}");
    }
    let text = problem(&reference("text.npy"), read::npy(reference("text.npy")));
    assert!(
        text.contains("type `<U2`; convert the array with `.astype`"),
        "{text}"
    );
    let records = problem(
        &reference("records.npy"),
        read::npy(reference("records.npy")),
    );
    assert!(records.contains("arrays of records"), "{records}");

    let path = dir.path().join("x.npz");
    let whole = fs::read(reference("compressed.npz")).unwrap();
    fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    problem(&path, read::npz(&path));
}

#[test]
fn safetensors_are_read_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.safetensors");
    let (a, b) = (
        Tensor::from_slice(&[1.5_f32, 2.5]),
        Tensor::from_slice(&[3_i64]),
    );
    Tensor::write_safetensors(&[("b", &b), ("a", &a)], &path).unwrap();
    let read = read::safetensors(&path).unwrap();
    let names: Vec<&str> = read.iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["a", "b"]);
    assert!(read.get("a").unwrap().equal(&a));
    assert!(read.get("b").unwrap().equal(&b));
    fs::write(&path, "no").unwrap();
    problem(&path, read::safetensors(&path));
}

const IRIS: &str = "\
length, width, species, petals
5.1, 3.5, setosa, 4
4.9, 3.0, virginica, 5

6.0, 2.5, setosa, 6
";

#[test]
fn tables_give_numbers_classes_and_texts() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("iris.csv");
    for bytes in [IRIS.as_bytes().to_vec(), gzip(IRIS.as_bytes())] {
        fs::write(&path, bytes).unwrap();
        let table = read::csv(&path).unwrap();
        assert_eq!(table.columns(), ["length", "width", "species", "petals"]);
        assert_eq!(table.len(), 3);
        let numbers = table.numbers(&["width", "length"]).unwrap();
        let wanted = Tensor::from_slice(&[3.5_f32, 5.1, 3.0, 4.9, 2.5, 6.0]).view([3, 2]);
        assert!(numbers.equal(&wanted));
        let (classes, names) = table.classes("species").unwrap();
        assert!(classes.equal(&Tensor::from_slice(&[0_i64, 1, 0])));
        assert_eq!(names, ["setosa", "virginica"]);
        let petals = table.integers("petals").unwrap();
        assert!(petals.equal(&Tensor::from_slice(&[4_i64, 5, 6])));
        assert_eq!(
            table.texts("species").unwrap(),
            ["setosa", "virginica", "setosa"]
        );
    }
}

#[test]
fn errors_in_tables_have_file_line_and_column() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("iris.csv");
    fs::write(&path, IRIS.replace("2.5", "wide").replace("4.9", "")).unwrap();
    let table = read::csv(&path).unwrap();
    assert_eq!(
        problem(&path, table.numbers(&["width"])),
        ":5`, column `width`: `wide` is not a number"
    );
    assert_eq!(
        problem(&path, table.numbers(&["length"])),
        ":3`, column `length`: no value; a number is needed"
    );
    assert_eq!(
        problem(&path, table.integers("species")),
        ":2`, column `species`: `setosa` is not a whole number"
    );
    assert_eq!(
        problem(&path, table.texts("lenght")),
        "`: there is no column `lenght`; did you mean `length`? There are: length, width, \
         species, petals"
    );
    fs::write(&path, "a,b\n1,2\n3\n").unwrap();
    assert_eq!(
        problem(&path, read::csv(&path)),
        "`: line 3 has 1 values; there are 2 columns"
    );
}

#[cfg(feature = "images")]
#[test]
fn pictures_in_folders_are_samples_with_classes() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str| {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    };
    let pixels = [
        [255, 0, 0],
        [0, 51, 0],
        [0, 0, 255],
        [255; 3],
        [0; 3],
        [102; 3],
    ]
    .concat();
    let png = image::RgbImage::from_raw(3, 2, pixels).unwrap();
    png.save(file("dog/b.png")).unwrap();
    image::GrayImage::from_pixel(3, 2, image::Luma([102]))
        .save(file("cat/a.PNG"))
        .unwrap();
    image::RgbImage::from_pixel(3, 2, image::Rgb([204; 3]))
        .save(file("cat/c.jpeg"))
        .unwrap();
    fs::write(file("cat/notes.txt"), "no picture").unwrap();

    let folder = read::ImageFolder::open(dir.path()).unwrap();
    assert_eq!(folder.classes(), ["cat", "dog"]);
    assert_eq!(folder.len(), 3);
    let sample = folder.get(2).unwrap();
    let [input, target] = sample.all().unwrap();
    assert_eq!((input.size(), target.int64_value(&[])), (vec![3, 2, 3], 1));
    let red = Tensor::from_slice(&[1.0_f32, 0.0, 0.0, 1.0, 0.0, 0.4]).view([2, 3]);
    let green = Tensor::from_slice(&[0.0_f32, 0.2, 0.0, 1.0, 0.0, 0.4]).view([2, 3]);
    assert!(input.get(0).equal(&red), "{input}");
    assert!(input.get(1).equal(&green), "{input}");

    let mut loader = DataLoader::builder(folder.clone().grey().resized(4, 5))
        .batch_size(3)
        .workers(2)
        .build()
        .unwrap();
    let batch = loader.epoch(0).unwrap().next().unwrap().unwrap();
    let [input, target] = batch.all().unwrap();
    assert_eq!(input.size(), [3, 1, 4, 5]);
    assert_eq!(Vec::<i64>::try_from(target).unwrap(), [0, 0, 1]);
    for (picture, grey) in [(0, 0.4), (1, 0.8)] {
        let difference = (input.get(picture) - grey).abs().max().double_value(&[]);
        assert!(difference < 0.01, "picture {picture}: {difference}");
    }

    fs::write(dir.path().join("cat/c.jpeg"), "broken").unwrap();
    let error = folder.get(1).unwrap_err().to_string();
    assert!(error.contains("c.jpeg"), "{error}");
    let empty = tempfile::tempdir().unwrap();
    let problem = problem(empty.path(), read::ImageFolder::open(empty.path()));
    assert!(
        problem.starts_with("`: no pictures: they must be PNG or JPEG"),
        "{problem}"
    );
}
