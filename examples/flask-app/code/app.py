from flask import Flask, Response, jsonify, render_template, request, url_for

app = Flask(__name__)
guests = []


@app.route('/')
def index():
    return render_template('index.html', guests=guests)


@app.route('/sign', methods=['POST'])
def sign():
    guests.append(request.form['name'])
    return jsonify(guests=guests, home=url_for('index')), 201


@app.route('/upload', methods=['POST'])
def upload():
    size = 0
    while chunk := request.stream.read(65536):
        size += len(chunk)
    return jsonify(size=size)


@app.route('/count')
def count():
    return Response((f'{number}\n' for number in range(1000)), mimetype='text/plain')


if __name__ == '__main__':
    app.run(port=3000)
