//! The least server that signs. It shows the upper bound for any server on this machine.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use anyhow::Result;

use crate::connection::whole;
use crate::raw::Signer;

/// Makes a signature for each request, whatever it says, and answers with the length of a token
/// response. Each connection has a thread.
pub(crate) fn serve() -> Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    println!("{}", listener.local_addr()?);
    let signer = Arc::new(Signer::new()?);
    for stream in listener.incoming() {
        let (stream, signer) = (stream?, Arc::clone(&signer));
        // An error ends only this connection.
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
