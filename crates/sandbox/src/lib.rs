//! Secret memory, process entry, confinement and raw I/O: all unsafe code of the project.
