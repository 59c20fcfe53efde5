//! Runs a module for WASI preview 1 in wasmtime with the three standard streams only: no clock, no
//! files, no randomness, no environment. Any other import ends the module when it is called. The
//! files named after the module become its standard input.

use std::{collections::VecDeque, error::Error, io::Write as _, process::ExitCode};

use anyhow::{Context as _, Result};
use wasmtime::{Caller, Config, Engine, Linker, Memory, Module, Store};

/// `badf` (WASI preview 1, `errno`).
const BAD_FILE_DESCRIPTOR: i32 = 8;

/// The running module, and the rest of its standard input.
type Host<'a> = Caller<'a, VecDeque<u8>>;

/// The module's exit code.
#[derive(Debug)]
struct Exit(i32);

impl std::fmt::Display for Exit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the module ended with {}", self.0)
    }
}

impl Error for Exit {}

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let Some(module) = arguments.next() else {
        eprintln!("expected the path of a module for wasm32-wasip1, and of files for its input");
        return ExitCode::from(2);
    };
    match run(&module, arguments) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(code) => ExitCode::from(u8::try_from(code).unwrap_or(1)),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(module: &str, files: impl Iterator<Item = String>) -> Result<i32> {
    let mut input = VecDeque::new();
    for file in files {
        input.extend(std::fs::read(&file).with_context(|| format!("{file} can't be read"))?);
    }
    let engine = Engine::new(Config::new().wasm_wide_arithmetic(true))?;
    let module = Module::from_file(&engine, module)?;
    let mut linker = Linker::new(&engine);
    linker
        .func_wrap("wasi_snapshot_preview1", "proc_exit", |code: i32| -> Result<()> {
            Err(Exit(code).into())
        })?
        .func_wrap("wasi_snapshot_preview1", "environ_sizes_get", environ_sizes_get)?
        .func_wrap("wasi_snapshot_preview1", "environ_get", |_: i32, _: i32| 0)?
        .func_wrap("wasi_snapshot_preview1", "fd_prestat_get", |_: i32, _: i32| {
            BAD_FILE_DESCRIPTOR
        })?
        .func_wrap("wasi_snapshot_preview1", "fd_read", fd_read)?
        .func_wrap("wasi_snapshot_preview1", "fd_write", fd_write)?;
    linker.define_unknown_imports_as_traps(&module)?;

    let mut store = Store::new(&engine, input);
    let start = linker.instantiate(&mut store, &module)?;
    let start = start.get_typed_func::<(), ()>(&mut store, "_start")?;
    match start.call(&mut store, ()) {
        Ok(()) => Ok(0),
        Err(error) => match error.downcast_ref::<Exit>() {
            Some(Exit(code)) => Ok(*code),
            None => Err(error),
        },
    }
}

fn environ_sizes_get(mut caller: Host<'_>, count: i32, size: i32) -> Result<i32> {
    for address in [count, size] {
        store(&mut caller, address, 0)?;
    }
    Ok(0)
}

fn fd_read(mut caller: Host<'_>, fd: i32, vectors: i32, count: i32, read: i32) -> Result<i32> {
    if fd != 0 {
        return Ok(BAD_FILE_DESCRIPTOR);
    }
    let mut total = 0;
    for (address, length) in buffers(&mut caller, vectors, count)? {
        let input = caller.data_mut();
        let bytes: Vec<u8> = input.drain(..length.min(input.len())).collect();
        memory(&mut caller)?.write(&mut caller, address, &bytes)?;
        total += bytes.len();
    }
    store(&mut caller, read, total)?;
    Ok(0)
}

fn fd_write(mut caller: Host<'_>, fd: i32, vectors: i32, count: i32, written: i32) -> Result<i32> {
    let mut total = 0;
    for (address, length) in buffers(&mut caller, vectors, count)? {
        let mut bytes = vec![0; length];
        memory(&mut caller)?.read(&caller, address, &mut bytes)?;
        match fd {
            1 => std::io::stdout().write_all(&bytes)?,
            2 => std::io::stderr().write_all(&bytes)?,
            _ => return Ok(BAD_FILE_DESCRIPTOR),
        }
        total += length;
    }
    store(&mut caller, written, total)?;
    Ok(0)
}

/// Reads the addresses and lengths in an array of `iovec`.
fn buffers(caller: &mut Host<'_>, vectors: i32, count: i32) -> Result<Vec<(usize, usize)>> {
    let memory = memory(caller)?;
    let word = |place: i32| -> Result<usize> {
        let mut bytes = [0; 4];
        memory.read(&*caller, address(vectors)? + 4 * address(place)?, &mut bytes)?;
        Ok(u32::from_le_bytes(bytes) as usize)
    };
    (0..count).map(|i| Ok((word(2 * i)?, word(2 * i + 1)?))).collect()
}

fn store(caller: &mut Host<'_>, at: i32, number: usize) -> Result<()> {
    let number = u32::try_from(number)?;
    Ok(memory(caller)?.write(caller, address(at)?, &number.to_le_bytes())?)
}

fn memory(caller: &mut Host<'_>) -> Result<Memory> {
    let memory = caller.get_export("memory").and_then(|it| it.into_memory());
    memory.ok_or_else(|| anyhow::Error::msg("the module exports no memory"))
}

/// An address is unsigned, but the host sees WASM's integers as signed.
fn address(number: i32) -> Result<usize> {
    Ok(usize::try_from(number.cast_unsigned())?)
}
