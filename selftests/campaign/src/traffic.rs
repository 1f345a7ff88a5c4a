// SPDX-License-Identifier: GPL-2.0

//! The traffic of a trial, and the oracle for silent damage: datagrams with a sequence number, a
//! content that follows from it, and a hash over both.
//!
//! The other end (outside.rs) checks what arrives, answers with a datagram of its own making, and
//! writes down what was wrong. A checksum of the network cannot take its place: the card computes it
//! after a faulty driver has changed the bytes.

use std::error::Error;
use std::net::UdpSocket;
use std::time::{Duration, Instant};

const MAGIC: &[u8; 8] = b"side-cmp";
const HEAD: usize = 24;
const LONGEST: usize = 1400;
/// Time between two looks for answers, and between what is sent: a tick. It is long because each costs an
/// emulator more than the packets do.
const PACE: Duration = Duration::from_millis(10);
/// Datagrams that are sent in a tick, once there was an answer.
const BURST: u64 = 10;
/// How long a first answer is waited for: so many seconds and so many ticks, whichever is later, since
/// a machine that gets little of its host's time makes few ticks in a second. The seconds with which it ends
/// in any case.
const FIRST: (u64, u64, u64) = (8, 400, 60);
/// The same for the next answer while some are missing, counted from the last one.
const NEXT: (u64, u64, u64) = (1, 60, 20);
/// Between two looks at the file that says whether there is a driver, in ticks.
const LOOKS: u64 = 10;

fn fill(sequence: u64, buffer: &mut [u8]) {
    let mut state = sequence.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    for byte in buffer {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        *byte = state as u8;
    }
}

fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3)
    })
}

/// Datagram `sequence`: magic, sequence, hash, content.
pub fn make(sequence: u64) -> Vec<u8> {
    let length = HEAD + (sequence as usize * 97) % (LONGEST - HEAD);
    let mut datagram = vec![0; length];
    datagram[..8].copy_from_slice(MAGIC);
    datagram[8..16].copy_from_slice(&sequence.to_le_bytes());
    fill(sequence, &mut datagram[HEAD..]);
    let sum = hash(&datagram);
    datagram[16..24].copy_from_slice(&sum.to_le_bytes());
    datagram
}

/// The sequence number of a datagram that is whole.
fn check(datagram: &[u8]) -> Option<u64> {
    let word = |at: usize| {
        let bytes = datagram.get(at..at + 8)?.try_into().ok()?;
        Some(u64::from_le_bytes(bytes))
    };
    let sequence = word(8)?;
    (datagram == make(sequence)).then_some(sequence)
}

/// What the other end makes of a datagram.
pub enum Answer {
    /// It is not what was sent.
    Bad,
    /// The datagram that answers it.
    Datagram(Vec<u8>),
}

/// The other end's answer to `datagram`. Its contents are another datagram's, so an echo by accident is
/// noticed.
pub fn answer_to(datagram: &[u8]) -> Answer {
    match check(datagram) {
        Some(sequence) => Answer::Datagram(make(sequence | 1 << 32)),
        None => Answer::Bad,
    }
}

/// Answers what arrives at `address` until it is ended.
///
/// # Errors
///
/// Of the socket; a datagram that is not whole gets no answer.
pub fn peer(address: &str) -> Result<(), Box<dyn Error>> {
    let socket = UdpSocket::bind(address)?;
    let mut buffer = [0; 2048];
    loop {
        let (length, from) = socket.recv_from(&mut buffer)?;
        if let Answer::Datagram(answer) = answer_to(&buffer[..length]) {
            // A sender that is gone is none of its concern.
            let _ = socket.send_to(&answer, from);
        }
    }
}

/// A wait, which is over by seconds and ticks.
struct Wait {
    limits: (u64, u64, u64),
    since: Instant,
    ticks: u64,
}

impl Wait {
    fn new(limits: (u64, u64, u64)) -> Self {
        Wait {
            limits,
            since: Instant::now(),
            ticks: 0,
        }
    }

    /// Counts a tick. Returns whether the wait was too long.
    fn tick(&mut self) -> bool {
        self.ticks += 1;
        let (seconds, ticks, most) = self.limits;
        let passed = self.since.elapsed().as_secs();
        passed >= most || passed >= seconds && self.ticks >= ticks
    }
}

/// Sends `count` datagrams and waits for their answers; with `until_first` it sends as many as it takes
/// until the first answer, or until the file of that name says `failed`: then no driver is left that could
/// bring one. Prints what came back: sent, received, bad, milliseconds until the first answer (-1 without
/// one), and the most datagrams lost in a row before an answer, or at the end.
pub fn drive(address: &str, count: &str, until_first: Option<&str>) -> Result<(), Box<dyn Error>> {
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    socket.set_nonblocking(true)?;
    let count: u64 = count.parse()?;
    let begin = Instant::now();
    let (mut sent, mut received, mut bad) = (0u64, 0u64, 0u64);
    let (mut first, mut last, mut gap) = (-1i64, 0u64, 0u64);
    let mut wait = Wait::new(if until_first.is_some() { FIRST } else { NEXT });
    let mut buffer = [0; 2048];
    let left_down =
        |state: &str| std::fs::read_to_string(state).is_ok_and(|text| text == "failed\n");
    loop {
        let burst = if until_first.is_some() {
            1
        } else {
            BURST.min(count - sent)
        };
        for _ in 0..burst {
            // Without a route or an address yet the datagram counts as lost.
            sent += 1;
            let _ = socket.send_to(&make(sent), address);
        }
        std::thread::sleep(PACE);
        while let Ok(length) = socket.recv(&mut buffer) {
            match check(&buffer[..length]) {
                Some(sequence) if sequence >> 32 == 1 => {
                    if first < 0 {
                        first = begin.elapsed().as_millis() as i64;
                    }
                    let sequence = sequence & 0xffff_ffff;
                    gap = gap.max(sequence.saturating_sub(last + 1));
                    last = last.max(sequence);
                    received += 1;
                    wait = Wait::new(NEXT);
                }
                _ => bad += 1,
            }
        }
        let over = match until_first {
            Some(state) => received > 0 || sent % LOOKS == 0 && left_down(state),
            None => received >= count,
        };
        if over || wait.tick() {
            break;
        }
    }
    if until_first.is_none() {
        gap = gap.max(sent - last.min(sent));
    }
    println!("sent={sent} received={received} bad={bad} first_ms={first} gap={gap}");
    Ok(())
}
