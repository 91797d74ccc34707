const sharp = require('sharp');

const WIDTH = 320;

/** An HTTP handler: the picture is the request's body on the trigger and the payload on the invoke API. */
exports.handler = async (req, resp) => {
  const chunks = [];
  for await (const chunk of req) chunks.push(chunk);
  let picture;
  try {
    picture = await sharp(Buffer.concat(chunks))
      .rotate()
      .resize({ width: WIDTH })
      .jpeg({ quality: 80 })
      .toBuffer();
  } catch (error) {
    resp.setStatusCode(415);
    resp.send(`that is no picture: ${error.message}\n`);
    return;
  }
  resp.setHeader('Content-Type', 'image/jpeg');
  resp.send(picture);
};
