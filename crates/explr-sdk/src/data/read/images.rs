use super::ReadError;
use crate::Result;
use crate::data::{Dataset, Tensors, int};
use image::imageops::FilterType;
use std::fs;
use std::path::{Path, PathBuf};
use tch::{Kind, Tensor};

/// Pictures in folders, one folder for each class.
///
/// A sample is `input`, the picture as `f32` `[3, height, width]` from 0 to 1,
/// and `target`, the number of its class as `i64`. Classes are numbered in
/// the order of their names, and pictures are ordered by class and name.
/// Files with names that do not end in `.png`, `.jpg` or `.jpeg` are passed
/// over.
#[derive(Debug, Clone)]
pub struct ImageFolder {
    classes: Vec<String>,
    pictures: Vec<(PathBuf, i64)>,
    size: Option<(u32, u32)>,
    grey: bool,
}

impl ImageFolder {
    /// Finds the pictures; it reads none.
    pub fn open(folder: impl AsRef<Path>) -> Result<Self, ReadError> {
        let folder = folder.as_ref();
        let mut classes = Vec::new();
        let mut pictures = Vec::new();
        for class in sorted(folder)?.into_iter().filter(|path| path.is_dir()) {
            let number = int(classes.len());
            let files = sorted(&class)?.into_iter().filter(|path| is_picture(path));
            pictures.extend(files.map(|file| (file, number)));
            let name = class.file_name().unwrap_or_default();
            classes.push(name.to_string_lossy().into_owned());
        }
        if pictures.is_empty() {
            return Err(ReadError::format(
                folder,
                "no pictures: they must be PNG or JPEG, in a folder for each class, such as \
                 `cat/1.png`",
            ));
        }
        Ok(Self {
            classes,
            pictures,
            size: None,
            grey: false,
        })
    }

    /// Gives all pictures this size, without regard to their proportions.
    pub fn resized(mut self, height: u32, width: u32) -> Self {
        self.size = Some((height, width));
        self
    }

    /// Gives one channel of brightness instead of red, green and blue.
    pub fn grey(mut self) -> Self {
        self.grey = true;
        self
    }

    /// Names of the classes, by number.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    fn picture(&self, path: &Path) -> Result<Tensor> {
        let failed = |error: image::ImageError| ReadError::format(path, error);
        let reader = image::ImageReader::open(path)
            .and_then(image::ImageReader::with_guessed_format)
            .map_err(|source| ReadError::io(path, source))?;
        let mut picture = reader.decode().map_err(failed)?;
        if let Some((height, width)) = self.size {
            picture = picture.resize_exact(width, height, FilterType::Triangle);
        }
        let (channels, bytes) = if self.grey {
            (1, picture.to_luma8().into_raw())
        } else {
            (3, picture.to_rgb8().into_raw())
        };
        let shape = [
            i64::from(picture.height()),
            i64::from(picture.width()),
            channels,
        ];
        let bytes = Tensor::f_from_data_size(&bytes, &shape, Kind::Uint8)?;
        let channels_first = bytes.f_permute([2, 0, 1])?.f_contiguous()?;
        Ok(channels_first
            .f_to_kind(Kind::Float)?
            .f_div_scalar_(255.0)?)
    }
}

impl Dataset for ImageFolder {
    fn len(&self) -> usize {
        self.pictures.len()
    }

    fn get(&self, index: usize) -> Result<Tensors> {
        let (path, class) = &self.pictures[index];
        Ok((self.picture(path)?, Tensor::from(*class)).into())
    }
}

fn sorted(folder: &Path) -> Result<Vec<PathBuf>, ReadError> {
    let entries =
        fs::read_dir(folder).and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect());
    let mut paths: Vec<PathBuf> = entries.map_err(|source| ReadError::io(folder, source))?;
    paths.sort();
    Ok(paths)
}

fn is_picture(path: &Path) -> bool {
    let endings = ["png", "jpg", "jpeg"];
    path.extension().is_some_and(|ending| {
        endings
            .iter()
            .any(|known| ending.eq_ignore_ascii_case(known))
    })
}
