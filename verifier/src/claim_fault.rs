//! The faults of a claim.

/// The fault of a claim: its JSON type, or the range of a date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClaimFault {
    /// It is null.
    Null,
    /// It is true or false.
    Boolean,
    /// It is a number.
    Number,
    /// It is a string.
    String,
    /// It is an array.
    Array,
    /// It is an object.
    Object,
    /// It is a date below 0.
    Negative,
    /// It is a date above 10¹¹: in milliseconds, most likely.
    Milliseconds,
}

impl ClaimFault {
    /// Returns the words that follow the claim's name.
    pub(crate) const fn words(self) -> &'static str {
        match self {
            Self::Null => "is null",
            Self::Boolean => "is a boolean",
            Self::Number => "is a number",
            Self::String => "is a string",
            Self::Array => "is an array",
            Self::Object => "is an object",
            Self::Negative => "is a negative number",
            Self::Milliseconds => "is a number of milliseconds, or of seconds after the year 5000",
        }
    }
}
