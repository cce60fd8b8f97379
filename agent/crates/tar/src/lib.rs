//! Tar archives: reading them entry by entry, and writing them. Pure: no file system is touched here.
