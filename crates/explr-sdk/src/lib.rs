//! Write train functions that explr runs.
