//! The least server that signs. What it does not reach, nothing does on that machine at that moment.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use anyhow::Result;

use crate::connection::whole;
use crate::raw::Signer;

/// Answers each request with as many bytes as a token's answer has, once it has made a signature. A
/// thread for each connection; whatever the request says.
pub(crate) fn serve() -> Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    println!("{}", listener.local_addr()?);
    let signer = Arc::new(Signer::new()?);
    for stream in listener.incoming() {
        let (stream, signer) = (stream?, Arc::clone(&signer));
        // A client that goes away ends its thread alone.
        thread::spawn(move || answer(stream, &signer));
    }
    Ok(())
}

fn answer(mut stream: TcpStream, signer: &Signer) -> Result<()> {
    stream.set_nodelay(true)?;
    let body = "a".repeat(800);
    let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    let (mut buffer, mut received, mut signature) = ([0; 8192], Vec::new(), Vec::new());
    loop {
        let length = stream.read(&mut buffer)?;
        if length == 0 {
            return Ok(());
        }
        received.extend(buffer.iter().take(length));
        if whole(&received)?.is_some() {
            received.clear();
            signer.sign(&mut signature)?;
            stream.write_all(answer.as_bytes())?;
        }
    }
}
