//! The `limbeck` program: trains teachers, distils them into one student, evaluates it and puts it to use.

mod cli;

fn main() -> std::process::ExitCode {
    cli::main()
}
