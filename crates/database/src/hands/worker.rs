//! Carries out one effect after the other, and in between brings a standby to stream from whom it is to follow.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::body::Body;
use super::effects;
use super::effects::attach;
use super::reconfigure::reconfigure;
use super::{Order, Told, lock};

/// Between two tries to stream.
const AGAIN: Duration = Duration::from_millis(100);

pub(super) async fn work(body: Arc<Body>, mut orders: mpsc::UnboundedReceiver<Order>) {
    loop {
        let order = tokio::select! {
            biased;
            order = orders.recv() => order,
            asked = attach::wait_and_ask(&body, AGAIN) => {
                // What follows is quick, and is not broken off.
                if let Err(failure) = attach::go_by(&body, asked).await {
                    tracing::debug!(why = failure.0, "can't stream yet");
                }
                continue;
            }
        };
        let (id, effect) = match order {
            Some(Order::Do(id, effect)) => (id, effect),
            Some(Order::Reconfigure(wanted)) => {
                reconfigure(&body, wanted).await;
                continue;
            }
            None => return,
        };
        let result = effects::carry_out(&body, &effect).await;
        if let Err(failure) = &result {
            tracing::info!(effect = effect.word(), why = failure.0, "an effect failed");
        }
        let mut look = body.look.lock().await;
        lock(&body.memory).facts.doing = None;
        let report = look.report(&body).await;
        let told = body.tell.send(Told::Done { id, result, report }).await;
        drop(look);
        if told.is_err() {
            return;
        }
    }
}
