// SPDX-License-Identifier: GPL-2.0

//! The other end of the traffic, outside the faulted machine: a host on the emulated wire that answers
//! ARP, pings and the campaign's datagrams, frame by frame, from a process beside the emulator. What
//! a fault does to the guest's kernel cannot reach it.
//!
//! Formats: RFC 826 (ARP), RFC 791 (IPv4), RFC 792 (ICMP), RFC 768 (UDP), RFC 1071 (checksum).

use crate::traffic::{answer_to, Answer};
use std::error::Error;
use std::io::Write;
use std::os::unix::net::UnixDatagram;

/// This host's addresses; the driver's side is 10.9.0.1 of the same network.
const MAC: [u8; 6] = [0x52, 0x54, 0, 0x12, 0x34, 0xfe];
const ADDRESS: [u8; 4] = [10, 9, 0, 2];
const PORT: u16 = 7000;

const ETHERNET: usize = 14;
const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_ARP: u16 = 0x0806;
const IPV4: usize = 20;
const ICMP: u8 = 1;
const UDP: u8 = 17;
/// The shortest frame of an Ethernet without its check sequence.
const SHORTEST: usize = 60;

fn word(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

/// The Internet checksum of `parts`, each of which but the last has an even length: 0 over data that
/// contain their own right checksum.
fn checksum(parts: &[&[u8]]) -> u16 {
    let mut sum = 0u64;
    for part in parts {
        for pair in part.chunks(2) {
            sum += u64::from(u16::from_be_bytes([
                pair[0],
                pair.get(1).copied().unwrap_or(0),
            ]));
        }
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

/// The pseudo header of a UDP datagram of `length` bytes.
fn pseudo(from: &[u8], to: &[u8], length: usize) -> Vec<u8> {
    let mut header = [from, to].concat();
    header.extend([0, UDP]);
    header.extend((length as u16).to_be_bytes());
    header
}

/// A frame to the sender of `frame`.
fn reply(frame: &[u8], ethertype: u16, payload: &[u8]) -> Vec<u8> {
    let mut out = frame[6..12].to_vec();
    out.extend(MAC);
    out.extend(ethertype.to_be_bytes());
    out.extend(payload);
    out.resize(out.len().max(SHORTEST), 0);
    out
}

fn arp(frame: &[u8]) -> Option<Vec<u8>> {
    let packet = frame.get(ETHERNET..ETHERNET + 28)?;
    // Ethernet, IPv4, a request for this address.
    let request = [0, 1, 8, 0, 6, 4, 0, 1];
    if packet[..8] != request || packet[24..28] != ADDRESS {
        return None;
    }
    let mut out = request[..7].to_vec();
    out.push(2);
    out.extend(MAC);
    out.extend(ADDRESS);
    out.extend(&packet[8..18]);
    Some(reply(frame, ETHERTYPE_ARP, &out))
}

fn ipv4(frame: &[u8], protocol: u8, body: &[u8]) -> Vec<u8> {
    let to = &frame[ETHERNET + 12..ETHERNET + 16];
    let mut out = vec![0x45, 0];
    out.extend(((IPV4 + body.len()) as u16).to_be_bytes());
    out.extend([0, 0, 0x40, 0, 64, protocol, 0, 0]);
    out.extend(ADDRESS);
    out.extend(to);
    let sum = checksum(&[&out]);
    out[10..12].copy_from_slice(&sum.to_be_bytes());
    out.extend(body);
    reply(frame, ETHERTYPE_IPV4, &out)
}

/// What the host does with a frame: an answer, a report, or nothing for what a network drops.
fn receive(frame: &[u8]) -> Option<Result<Vec<u8>, usize>> {
    if frame.get(..6)? != MAC && frame.get(..6)? != [0xff; 6] {
        return None;
    }
    match word(frame, 12)? {
        ETHERTYPE_ARP => return arp(frame).map(Ok),
        ETHERTYPE_IPV4 => {}
        _ => return None,
    }
    let length = usize::from(word(frame, ETHERNET + 2)?);
    let packet = frame.get(ETHERNET..ETHERNET + length)?;
    let header = packet.get(..IPV4)?;
    // No options and no fragments are sent here.
    if header[0] != 0x45
        || word(header, 6)? & 0x3fff != 0
        || header[16..] != ADDRESS
        || checksum(&[header]) != 0
    {
        return None;
    }
    let body = &packet[IPV4..];
    match header[9] {
        ICMP if body.len() >= 8 && body[0] == 8 && checksum(&[body]) == 0 => {
            let mut out = body.to_vec();
            out[0] = 0;
            out[2..4].fill(0);
            let sum = checksum(&[&out]);
            out[2..4].copy_from_slice(&sum.to_be_bytes());
            Some(Ok(ipv4(frame, ICMP, &out)))
        }
        UDP => {
            let length = usize::from(word(body, 4)?);
            let datagram = body.get(..length).filter(|_| length >= 8)?;
            let (from, to) = (&header[12..16], &header[16..20]);
            if word(datagram, 2)? != PORT
                || word(datagram, 6)? != 0 && checksum(&[&pseudo(from, to, length), datagram]) != 0
            {
                return None;
            }
            match answer_to(&datagram[8..]) {
                Answer::Bad => Some(Err(length - 8)),
                Answer::Datagram(content) => {
                    let mut out = PORT.to_be_bytes().to_vec();
                    out.extend(&datagram[..2]);
                    out.extend(((8 + content.len()) as u16).to_be_bytes());
                    out.extend([0, 0]);
                    out.extend(content);
                    // A sum of 0 is sent as its other form.
                    let sum = match checksum(&[&pseudo(to, from, out.len()), &out]) {
                        0 => 0xffff,
                        sum => sum,
                    };
                    out[6..8].copy_from_slice(&sum.to_be_bytes());
                    Some(Ok(ipv4(frame, UDP, &out)))
                }
            }
        }
        _ => None,
    }
}

/// Answers what comes from the emulator's socket (`SIDE_NIC0_QEMU`) to this end's (`SIDE_NIC0_PEER`), for
/// as long as the emulator runs, and appends a line to `report` for each datagram that arrived whole
/// by its checksum and has another content than was sent.
pub fn run(report: &str) -> Result<(), Box<dyn Error>> {
    let (peer, emulator) = (
        std::env::var("SIDE_NIC0_PEER")?,
        std::env::var("SIDE_NIC0_QEMU")?,
    );
    let mut report = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(report)?;
    // The emulator sends nothing before its guest has a driver.
    let _ = std::fs::remove_file(&peer);
    let socket = UnixDatagram::bind(&peer)?;
    let mut buffer = [0; 16384];
    loop {
        let length = socket.recv(&mut buffer)?;
        match receive(&buffer[..length]) {
            // A full queue drops frames, as a network does.
            Some(Ok(frame)) => drop(socket.send_to(&frame, &emulator)),
            Some(Err(length)) => writeln!(report, "bad datagram of {length} bytes")?,
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::traffic;

    /// A frame of the driver's side.
    fn sent(protocol: u8, body: &[u8]) -> Vec<u8> {
        let mut frame = MAC.to_vec();
        frame.extend([2, 0, 0, 0, 0, 1, 8, 0]);
        let mut header = vec![0x45, 0];
        header.extend(((IPV4 + body.len()) as u16).to_be_bytes());
        header.extend([0, 0, 0, 0, 64, protocol, 0, 0, 10, 9, 0, 1]);
        header.extend(ADDRESS);
        let sum = checksum(&[&header]);
        header[10..12].copy_from_slice(&sum.to_be_bytes());
        frame.extend(header);
        frame.extend(body);
        frame
    }

    fn datagram(content: &[u8]) -> Vec<u8> {
        let mut out = vec![0x12, 0x34];
        out.extend(PORT.to_be_bytes());
        out.extend(((8 + content.len()) as u16).to_be_bytes());
        out.extend([0, 0]);
        out.extend(content);
        let sum = checksum(&[&pseudo(&[10, 9, 0, 1], &ADDRESS, out.len()), &out]);
        out[6..8].copy_from_slice(&sum.to_be_bytes());
        out
    }

    #[test]
    fn an_address_is_found() {
        let mut frame = vec![0xff; 6];
        frame.extend([2, 0, 0, 0, 0, 1, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1]);
        frame.extend([2, 0, 0, 0, 0, 1, 10, 9, 0, 1, 0, 0, 0, 0, 0, 0]);
        frame.extend(ADDRESS);
        let answer = receive(&frame).unwrap().unwrap();
        assert_eq!(answer.len(), SHORTEST);
        assert_eq!(answer[..6], [2, 0, 0, 0, 0, 1]);
        assert_eq!(answer[21], 2);
        assert_eq!(answer[22..28], MAC);
        frame[41] = 9;
        assert!(receive(&frame).is_none());
    }

    #[test]
    fn a_ping_comes_back() {
        let mut ping = vec![8, 0, 0, 0, 1, 2, 3, 4, 5];
        let sum = checksum(&[&ping]);
        ping[2..4].copy_from_slice(&sum.to_be_bytes());
        let answer = receive(&sent(ICMP, &ping)).unwrap().unwrap();
        assert_eq!(checksum(&[&answer[ETHERNET..ETHERNET + IPV4]]), 0);
        let body = &answer[ETHERNET + IPV4..ETHERNET + IPV4 + ping.len()];
        assert_eq!((body[0], checksum(&[body])), (0, 0));
        assert_eq!(body[4..], ping[4..]);
    }

    #[test]
    fn a_whole_datagram_is_answered_and_a_changed_one_reported() {
        let content = traffic::make(7);
        let answer = receive(&sent(UDP, &datagram(&content))).unwrap().unwrap();
        let body = &answer[ETHERNET + IPV4..];
        let body = &body[..usize::from(word(body, 4).unwrap())];
        assert_eq!(
            checksum(&[&pseudo(&ADDRESS, &[10, 9, 0, 1], body.len()), body]),
            0
        );
        assert_eq!(body[8..], traffic::make(7 | 1 << 32));
        let mut changed = content;
        changed[30] ^= 1;
        assert!(receive(&sent(UDP, &datagram(&changed))).unwrap().is_err());
        // What a checksum on the way tells is lost, as with any host.
        let mut broken = sent(UDP, &datagram(&traffic::make(7)));
        *broken.last_mut().unwrap() ^= 1;
        assert!(receive(&broken).is_none());
    }

    #[test]
    fn no_frame_is_too_short() {
        let whole = sent(UDP, &datagram(&traffic::make(3)));
        for length in 0..whole.len() {
            assert!(receive(&whole[..length]).is_none());
        }
    }
}
