//! Custom claims, on the command lines of `user` and `client`.

use std::io::Read as _;

use clap::Args;

use crate::Error;
use crate::custom_claims::CustomClaims;

/// The most bytes of stdin that are read. Compact claims are shorter, and blanks are few.
const MAX_INPUT: u64 = 64 * 1024;

#[derive(Args)]
pub(super) struct NewClaims {
    /// JSON object, such as '{"roles": ["editor"]}'; {} for none, - to read stdin; if it is left out,
    /// the present claims are printed
    claims: Option<String>,
}

impl NewClaims {
    /// Returns the claims to set, if any.
    pub(super) fn read(self) -> Result<Option<CustomClaims>, Error> {
        let json = match self.claims {
            Some(dash) if dash == "-" => Some(read_stdin()?),
            json => json,
        };
        json.map(|json| CustomClaims::parse(&json).map_err(Error::Refused)).transpose()
    }
}

fn read_stdin() -> Result<String, Error> {
    let mut json = String::new();
    let read = std::io::stdin().lock().take(MAX_INPUT + 1).read_to_string(&mut json);
    read.map_err(|e| Error::Refused(format!("cannot read the claims: {e}")))?;
    if json.len() as u64 > MAX_INPUT {
        return Err(Error::Refused(format!(
            "the claims have more than {MAX_INPUT} bytes; expected a JSON object of 4 KiB"
        )));
    }
    Ok(json)
}
