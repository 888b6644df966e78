//! What the client says became of records that were sent.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;
use rdkafka::producer::{DeliveryResult, ProducerContext};
use rdkafka::types::RDKafkaErrorCode;

use super::client;

/// Counts acknowledgements, and keeps refusals. The context of a producer.
#[derive(Debug, Default)]
pub struct Reports {
    acknowledged: AtomicU64,
    too_large: Mutex<Vec<usize>>,
    refused: Mutex<Option<RDKafkaErrorCode>>,
}

/// Everything reported since the last time this was asked.
#[derive(Debug)]
pub struct Reported {
    /// How many records were acknowledged.
    pub acknowledged: u64,
    /// The numbers of those that were refused as too large.
    pub too_large: Vec<usize>,
    /// Why another was refused.
    pub refused: Option<RDKafkaErrorCode>,
}

impl Reports {
    /// Takes what was reported.
    pub fn take(&self) -> Reported {
        Reported {
            acknowledged: self.acknowledged.swap(0, Ordering::Relaxed),
            too_large: std::mem::take(&mut *self.too_large.lock().unwrap_or_else(PoisonError::into_inner)),
            refused: self.refused.lock().unwrap_or_else(PoisonError::into_inner).take(),
        }
    }
}

impl ClientContext for Reports {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        client::log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "producer");
    }
}

impl ProducerContext for Reports {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, number: usize) {
        match result {
            Ok(_) => {
                self.acknowledged.fetch_add(1, Ordering::Relaxed);
            }
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::MessageSizeTooLarge), _)) => {
                self.too_large.lock().unwrap_or_else(PoisonError::into_inner).push(number);
            }
            Err((error, _)) => {
                let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail);
                *self.refused.lock().unwrap_or_else(PoisonError::into_inner) = Some(code);
            }
        }
    }
}
