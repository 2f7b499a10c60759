"""Music and speech: decoding, beats, bars and onsets."""
