"""Ways to the bank and back: a folder, SFTP. An unknown outcome is asked, never sent again blindly."""
