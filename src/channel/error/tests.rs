use std::error::Error;
use std::io;

use super::*;

fn storage() -> StorageError {
    let source = Arc::new(io::Error::from(io::ErrorKind::NotFound));
    StorageError { operation: "open", path: "x".into(), source }
}

fn stopped() -> Stopped {
    Stopped { cause: Arc::new(storage()) }
}

fn damage(sequences: Option<Range<u64>>) -> Corruption {
    let (expected, found) = ("a record".to_string(), "zeros".to_string());
    Corruption { file: "1.seg".into(), offset: 8, expected, found, sequences }
}

/// The text of what is behind an error.
fn behind(error: &dyn Error) -> String {
    error.source().map_or_else(String::new, ToString::to_string)
}

#[test]
fn an_error_leads_to_what_is_behind_it() {
    let invalid = InvalidOption { option: "segment_size", problem: "it is too small".into() };
    let invalid_text = invalid.to_string();
    let (storage_text, stopped_text) = (storage().to_string(), stopped().to_string());
    let damage_text = damage(None).to_string();
    let chains: [(&dyn Error, &str); 14] = [
        (&storage(), &io::Error::from(io::ErrorKind::NotFound).to_string()),
        (&stopped(), &storage_text),
        (&OpenError::from(invalid), &invalid_text),
        (&OpenError::from(damage(None)), &damage_text),
        (&OpenError::from(storage()), &storage_text),
        (&OpenError::NotAChannel { path: "x".into(), reason: "y".into() }, ""),
        (&CommitError::Stopped(stopped()), &stopped_text),
        (&CommitError::Closed(Vec::new()), ""),
        (&TakeError::Corrupt(damage(None)), &damage_text),
        (&TakeError::Storage(storage()), &storage_text),
        (&TakeError::Stopped(stopped()), &stopped_text),
        (&TakeError::Closed, ""),
        (&CloseError::Stopped(stopped()), &stopped_text),
        (&CloseError::Closed, ""),
    ];
    for (error, expected) in chains {
        assert_eq!(behind(error), expected, "{error}");
    }
}

#[test]
fn an_event_that_was_not_put_comes_back() {
    let event = || Event::new("body");
    let all = [
        PutError::Full(event()),
        PutError::TransactionFull(event()),
        PutError::TooLarge(event()),
        PutError::Stopped(event(), stopped()),
        PutError::Closed(event()),
    ];
    assert!(all.into_iter().all(|error| error.into_event() == event()));
}

#[test]
fn damage_says_which_events_are_concerned() {
    let place = "1.seg at offset 8: expected a record, found zeros";
    assert_eq!(damage(None).to_string(), place);
    assert_eq!(damage(Some(3..3)).to_string(), place);
    assert_eq!(damage(Some(3..5)).to_string(), format!("{place} (events 3..5 are concerned)"));
    let open = damage(Some(3..u64::MAX)).to_string();
    assert_eq!(open, format!("{place} (events from sequence 3 on are concerned)"));
}
