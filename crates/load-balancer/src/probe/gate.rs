//! Asks a database's gate whom it serves.

use nines_control::gate::{self, Ask, Serves, Standing};
use nines_control::pools::ProbeOrder;
use nines_system::Access;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{connect, why};

/// An answer is short.
const BUFFER: usize = 4096;

pub(super) async fn probe(order: &ProbeOrder, access: Access) -> Result<String, String> {
    let mut stream = connect(order).await?;
    let ask = gate::question(&Ask::Standing { seen: 0, within_ms: 0 });
    stream.write_all(&ask).await.map_err(|error| why(&error))?;
    let mut bytes = Vec::with_capacity(BUFFER);
    loop {
        if let Some((body, _)) = gate::message(&bytes)? {
            let standing: Standing = gate::read(body).map_err(|_| "it is no gate of nines".to_owned())?;
            return judge(&standing, access);
        }
        match stream.read_buf(&mut bytes).await {
            Ok(0) => return Err("it is no gate of nines".to_owned()),
            Ok(_) => {}
            Err(error) => return Err(why(&error)),
        }
    }
}

fn judge(standing: &Standing, access: Access) -> Result<String, String> {
    match (standing.serves, access) {
        (Serves::Everything, _) => Ok(format!("the primary of term {}", standing.term)),
        (Serves::Reads, Access::ReadOnly) => Ok(format!("a standby, {} bytes behind", standing.lag)),
        (Serves::Reads, Access::ReadWrite) => Err("a standby".to_owned()),
        (Serves::Nobody, _) => Err(standing.why.clone()),
    }
}
