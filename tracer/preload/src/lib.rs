//! Preloaded into a program that was built with `-finstrument-functions`: records its calls and returns into memory that it
//! shares with the recorder, and does nothing else. It never crashes, hangs or changes the program.
