//! Prints the configuration reference: `docs/configuration.md` is its output.
#![expect(clippy::print_stdout, reason = "printing is this program's purpose")]

fn main() {
    print!("{}", offpath_config::reference());
}
