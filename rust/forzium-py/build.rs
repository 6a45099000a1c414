//! Tells the code which Python it is built for: `Py_3_14` is set for 3.14 and later, as in pyo3's own.

fn main() {
    pyo3_build_config::use_pyo3_cfgs();
}
