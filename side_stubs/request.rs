// SPDX-License-Identifier: GPL-2.0

//! What a user asks for who loads a driver: `[as=NAME] [device=ADDRESS[,ADDRESS...]] PATH`.
//!
//! A decision only: no `unsafe`, no kernel. The options stand before the path, where they cannot be
//! taken for the driver's own parameters, which follow it.

/// Longest name of an instance.
pub(crate) const NAME_MAX: usize = 40;

/// A request, checked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Request<'a> {
    /// The instance's own name; the driver's where there is none.
    pub(crate) name: Option<&'a [u8]>,
    /// PCI addresses as sysfs writes them, separated by commas; empty for all.
    pub(crate) devices: &'a [u8],
    /// The driver file.
    pub(crate) path: &'a [u8],
}

/// Why a request is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum BadRequest {
    NoPath,
    UnknownOption,
    Twice,
    Name,
    Device,
}

impl BadRequest {
    /// For the log.
    pub(crate) fn reason(self) -> &'static str {
        match self {
            BadRequest::NoPath => "an absolute path is wanted",
            BadRequest::UnknownOption => "only as= and device= may stand before the path",
            BadRequest::Twice => "an option is given twice",
            BadRequest::Name => "as= wants 1 to 40 letters, digits, or one of _ - .",
            BadRequest::Device => "device= wants addresses like 0000:00:03.0",
        }
    }
}

/// Where the request ends in a line in which the driver's parameters follow it: at the first space
/// after the path.
pub(crate) fn split(line: &[u8]) -> (&[u8], &[u8]) {
    let is_path = |at: usize| line[at] == b'/' && (at == 0 || line[at - 1] == b' ');
    let path = (0..line.len()).find(|at| is_path(*at)).unwrap_or(0);
    let end = line[path..]
        .iter()
        .position(|byte| *byte == b' ')
        .map_or(line.len(), |space| path + space);
    (&line[..end], line[end..].trim_ascii())
}

/// Parses a request.
pub(crate) fn parse(text: &[u8]) -> Result<Request<'_>, BadRequest> {
    let mut request = Request {
        name: None,
        devices: &[],
        path: &[],
    };
    for word in text
        .split(|byte| *byte == b' ')
        .filter(|word| !word.is_empty())
    {
        if !request.path.is_empty() {
            return Err(BadRequest::NoPath);
        }
        if let Some(name) = word.strip_prefix(b"as=") {
            if request.name.is_some() {
                return Err(BadRequest::Twice);
            }
            request.name = Some(checked_name(name)?);
        } else if let Some(devices) = word.strip_prefix(b"device=") {
            if !request.devices.is_empty() {
                return Err(BadRequest::Twice);
            }
            if !devices.split(|byte| *byte == b',').all(is_address) {
                return Err(BadRequest::Device);
            }
            request.devices = devices;
        } else if word[0] == b'/' || !word.contains(&b'=') {
            request.path = word;
        } else {
            return Err(BadRequest::UnknownOption);
        }
    }
    match request.path.is_empty() {
        true => Err(BadRequest::NoPath),
        false => Ok(request),
    }
}

fn checked_name(name: &[u8]) -> Result<&[u8], BadRequest> {
    let letters = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-.".contains(byte);
    // The folder's own files are no names.
    let taken = [&b"load"[..], b"unload"].contains(&name);
    let fine = (1..=NAME_MAX).contains(&name.len()) && name[0] != b'.' && name.iter().all(letters);
    match fine && !taken {
        true => Ok(name),
        false => Err(BadRequest::Name),
    }
}

/// `DDDD:BB:SS.F`, the first part four digits or more.
fn is_address(text: &[u8]) -> bool {
    let Some((domain, rest)) = text.len().checked_sub(8).map(|n| text.split_at(n)) else {
        return false;
    };
    let shape = rest[0] == b':' && rest[3] == b':' && rest[6] == b'.';
    let digits = [rest[1], rest[2], rest[4], rest[5]];
    domain.len() >= 4
        && shape
        && domain.iter().chain(&digits).all(u8::is_ascii_hexdigit)
        && (b'0'..=b'7').contains(&rest[7])
}

/// Whether a list of addresses names `address`; an empty one names all.
pub(crate) fn names(devices: &[u8], address: &[u8]) -> bool {
    devices.is_empty()
        || devices
            .split(|byte| *byte == b',')
            .any(|one| one == address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_stand_before_the_path_and_parameters_after() {
        let line = b"as=e1000e-2 device=0000:00:03.0,0000:00:04.0 /lib/e1000e.ko.xz debug=1 x=/y";
        let (request, params) = split(line);
        assert_eq!(params, b"debug=1 x=/y");
        let request = parse(request).unwrap();
        assert_eq!(request.name, Some(&b"e1000e-2"[..]));
        assert_eq!(request.path, b"/lib/e1000e.ko.xz");
        assert!(names(request.devices, b"0000:00:04.0"));
        assert!(!names(request.devices, b"0000:00:05.0"));
    }

    #[test]
    fn a_path_alone_is_a_request() {
        assert_eq!(split(b"/a.ko"), (&b"/a.ko"[..], &b""[..]));
        let request = parse(b"/a.ko").unwrap();
        assert_eq!((request.name, request.devices), (None, &b""[..]));
        assert!(names(request.devices, b"0000:00:04.0"));
        // What reading the file will refuse, with its own reason.
        assert_eq!(parse(b"relative.ko").unwrap().path, b"relative.ko");
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        assert_eq!(parse(b""), Err(BadRequest::NoPath));
        assert_eq!(parse(b"as=a"), Err(BadRequest::NoPath));
        assert_eq!(parse(b"/a /b"), Err(BadRequest::NoPath));
        assert_eq!(parse(b"at=a /b"), Err(BadRequest::UnknownOption));
        assert_eq!(parse(b"as=a as=b /c"), Err(BadRequest::Twice));
        for name in [
            "as=",
            "as=a/b",
            "as=.",
            "as=load",
            &*format!("as={:041}", 0),
        ] {
            assert_eq!(
                parse(format!("{name} /c").as_bytes()),
                Err(BadRequest::Name)
            );
        }
        for device in [
            "",
            "00:03.0",
            "0000:00:03.8",
            "0000:00:03.0,",
            "0000-00:03.0",
        ] {
            let text = format!("device={device} /c");
            assert_eq!(parse(text.as_bytes()), Err(BadRequest::Device), "{device}");
        }
    }

    /// Lines put together at random of what requests are made of, and of what they are not.
    #[test]
    fn whatever_is_taken_from_a_random_line_is_well_formed() {
        const PIECES: &[&[u8]] = &[
            b" ",
            b"as=",
            b"device=",
            b"0000:00:03.0",
            b",",
            b"/lib/a.ko",
            b"=",
            b"..",
            b"load",
            b"e1000e",
            b"0000:00:03.8",
            b"\0",
            b"\xff",
            b"0",
            b":",
            b"as=a",
            b"  ",
            b"/",
            b"\n",
        ];
        let (mut state, mut taken) = (0x9e37_79b9_7f4a_7c15u64, 0);
        for _ in 0..200_000 {
            let mut line = std::vec::Vec::new();
            for _ in 0..12 {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                if state & 0x300 != 0 || line.is_empty() {
                    line.extend_from_slice(PIECES[(state >> 32) as usize % PIECES.len()]);
                }
            }
            let (request, params) = split(&line);
            assert!(request.len() + params.len() <= line.len());
            let Ok(request) = parse(request) else {
                continue;
            };
            taken += 1;
            assert!(!request.path.is_empty() && !request.path.contains(&b' '));
            if let Some(name) = request.name {
                let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-.".contains(byte);
                assert!(name.iter().all(plain) && name[0] != b'.' && name.len() <= NAME_MAX);
                assert!(name != b"load" && name != b"unload");
            }
            for device in request.devices.split(|byte| *byte == b',') {
                assert!(request.devices.is_empty() || is_address(device));
                assert!(names(request.devices, device));
            }
        }
        assert!(taken > 1000, "{taken} requests were taken");
    }
}
