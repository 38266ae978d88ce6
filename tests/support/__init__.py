"""What several rooms' tests share: a deployment made of real files, and Kombo simulated."""
